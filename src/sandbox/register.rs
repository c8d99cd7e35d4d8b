//! The register of the sandbox: everybody whom its MOSIP knows at the moment. It begins with [`super::people`]; births add
//! to it and deaths deactivate, and every service of the sandbox sees the same people.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::people::{Person, Standing, Text, all, with_check_digit};

/// The most people it takes.
const MOST: usize = 50_000;

/// Everybody; clones share one register.
#[derive(Clone, Debug)]
pub struct Register(Arc<RwLock<Vec<Person>>>);

impl Register {
    /// The sandbox's people.
    pub fn of_the_sandbox() -> Self {
        Self::of(all())
    }

    /// These people.
    pub fn of(people: Vec<Person>) -> Self {
        Self(Arc::new(RwLock::new(people)))
    }

    /// Whoever has this UIN.
    pub fn by_uin(&self, uin: &str) -> Option<Person> {
        self.first(|person| person.uin == uin)
    }

    /// Whoever has this VID.
    pub fn by_vid(&self, vid: &str) -> Option<Person> {
        self.first(|person| person.vid == vid)
    }

    /// Whoever has this UIN or VID.
    pub fn by_either(&self, number: &str) -> Option<Person> {
        self.first(|person| person.uin == number || person.vid == number)
    }

    /// Everybody, as they are now.
    pub fn everybody(&self) -> Vec<Person> {
        self.read().clone()
    }

    /// Enters a newcomer, under a UIN and a VID that nobody has; nothing when the register is full.
    pub fn enter(&self, newcomer: Newcomer) -> Option<Person> {
        let mut people = self.write();
        if people.len() >= MOST {
            return None;
        }
        let free = |number: &str| {
            !people
                .iter()
                .any(|person| person.uin == number || person.vid == number)
        };
        let uin = some(free, || fresh(9))?;
        let vid = some(free, || fresh(15))?;
        let seed = u64::try_from(people.len()).unwrap_or_default();
        let person = newcomer.into_person(uin, vid, seed.saturating_add(1));
        people.push(person.clone());
        Some(person)
    }

    /// Deactivates a UIN; `false` when nobody has it.
    pub fn deactivate(&self, uin: &str) -> bool {
        let mut people = self.write();
        let found = people.iter_mut().find(|person| person.uin == uin);
        let known = found.is_some();
        if let Some(person) = found {
            person.standing = Standing::Deactivated;
        }
        known
    }

    /// Takes somebody out, for tests.
    #[cfg(test)]
    pub(super) fn remove(&self, index: usize) -> Person {
        self.write().remove(index)
    }

    fn first(&self, is: impl Fn(&Person) -> bool) -> Option<Person> {
        self.read().iter().find(|person| is(person)).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Person>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<Person>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a registration says about a person.
#[derive(Clone, Debug, Default)]
pub struct Newcomer {
    /// The full name, in each language.
    pub name: Vec<Text>,
    /// `yyyy/MM/dd`.
    pub date_of_birth: String,
    /// The gender, in each language.
    pub gender: Vec<Text>,
    /// The postal code.
    pub postal_code: String,
    /// The phone number, when there is one.
    pub phone: Option<String>,
    /// The e-mail address, when there is one.
    pub email: Option<String>,
}

impl Newcomer {
    fn into_person(self, uin: String, vid: String, seed: u64) -> Person {
        Person {
            uin,
            vid,
            purpose: "registered here",
            name: self.name,
            date_of_birth: self.date_of_birth,
            gender: self.gender,
            address_lines: Default::default(),
            locations: Default::default(),
            postal_code: self.postal_code,
            phone: self.phone,
            email: self.email,
            photo: super::png::portrait(seed),
            standing: Standing::Active,
            locked: Vec::new(),
        }
    }
}

/// The first of a few candidates that fits.
fn some(fits: impl Fn(&str) -> bool, mut next: impl FnMut() -> Option<String>) -> Option<String> {
    (0..100).find_map(|_| next().filter(|candidate| fits(candidate)))
}

/// So many random digits, the first of them neither 0 nor 1 (MOSIP's rule), and a check digit.
fn fresh(digits: usize) -> Option<String> {
    let mut bytes = [0_u8; 15];
    aws_lc_rs::rand::fill(bytes.get_mut(..digits)?).ok()?;
    let base: String = bytes
        .iter()
        .take(digits)
        .enumerate()
        .map(|(at, byte)| {
            let digit = if at == 0 {
                (byte % 8).wrapping_add(2)
            } else {
                byte % 10
            };
            char::from(b'0'.wrapping_add(digit))
        })
        .collect();
    Some(with_check_digit(&base))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::people::has_check_digit;

    #[test]
    fn a_newcomer_has_well_formed_numbers_and_is_found_by_both() {
        let register = Register::of_the_sandbox();
        let person = register.enter(Newcomer::default()).unwrap();
        assert_eq!((person.uin.len(), person.vid.len()), (10, 16));
        assert!(has_check_digit(&person.uin) && has_check_digit(&person.vid));
        assert_eq!(register.by_uin(&person.uin).unwrap().vid, person.vid);
        assert_eq!(register.by_vid(&person.vid).unwrap().uin, person.uin);
        assert!(register.by_vid(&person.uin).is_none());
        assert_eq!(register.everybody().len(), 13);
    }

    #[test]
    fn the_deceased_stay_in_it_deactivated() {
        let register = Register::of_the_sandbox();
        let ada = register.everybody().remove(0);
        assert!(register.deactivate(&ada.uin));
        assert_eq!(
            register.by_either(&ada.vid).unwrap().standing,
            Standing::Deactivated
        );
        assert!(!register.deactivate("0000000000"));
    }

    #[test]
    fn a_full_register_takes_nobody() {
        let person = all().remove(0);
        let register = Register::of(vec![person; MOST]);
        assert!(register.enter(Newcomer::default()).is_none());
    }
}
