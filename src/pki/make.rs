//! From a plan to a folder: the hierarchy, the parties, their wrong twins and the lists, written in one go.

use std::path::{Path, PathBuf};

use super::{
    Algorithm, AuthorityName, Hierarchy, Key, NewFile, Overwrite, Party, PartyPlan, PkiError, Plan,
    Readers, Twin, TwinKind, Validity, files,
    hierarchy::{KeyPool, ROLES},
    pem, write_p12,
};

/// All that a plan makes, in memory.
#[derive(Debug)]
pub struct Built {
    /// The four CAs.
    pub hierarchy: Hierarchy,
    /// The parties, in the order of the plan.
    pub parties: Vec<Party>,
    /// The wrong twins.
    pub twins: Vec<Twin>,
    /// Each CA's revocation list (DER).
    pub lists: Vec<(AuthorityName, Vec<u8>)>,
}

impl Built {
    /// A party by its id.
    pub fn party(&self, id: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.id == id)
    }

    /// The twin that is wrong in this way.
    pub fn twin(&self, kind: TwinKind) -> Option<&Twin> {
        self.twins.iter().find(|twin| twin.kind == kind)
    }

    /// A CA's revocation list (DER).
    pub fn list(&self, name: AuthorityName) -> Option<&[u8]> {
        let found = self.lists.iter().find(|(of, _)| *of == name);
        found.map(|(_, der)| der.as_slice())
    }
}

/// What [`make`] made and wrote.
#[derive(Debug)]
pub struct Made {
    /// All of it.
    pub built: Built,
    /// The files, in the order they were written.
    pub files: Vec<PathBuf>,
}

/// Makes everything in memory: for tests and for the sandbox.
///
/// # Errors
/// When the plan cannot be carried out or making keys fails.
pub fn build(plan: &Plan) -> Result<Built, PkiError> {
    plan.check()?;
    let mut keys = KeyPool::filled(&keys_wanted(plan))?;
    let hierarchy = Hierarchy::make_from(plan, &mut keys)?;
    let mut parties = Vec::with_capacity(plan.parties.len());
    for party in &plan.parties {
        parties.push(hierarchy.issue_party_from(party, plan.leaves, &mut keys)?);
    }
    let mut twins = Vec::new();
    let mut revoked = Vec::new();
    if let Some(of) = twin_party(plan) {
        let right = parties
            .iter()
            .find(|party| party.id == of.id)
            .ok_or(PkiError::Crypto("finding the twin's party"))?;
        for kind in twin_kinds(of) {
            let twin = Twin::make(kind, plan, of, &hierarchy, right, &mut keys)?;
            for by in AuthorityName::ALL {
                revoked.extend(
                    twin.revocations(plan, of, by)?
                        .into_iter()
                        .map(|line| (by, line)),
                );
            }
            twins.push(twin);
        }
    }
    let mut lists = Vec::new();
    for by in AuthorityName::ALL {
        let lines: Vec<_> = revoked
            .iter()
            .filter(|(ca, _)| *ca == by)
            .map(|(_, line)| line.clone())
            .collect();
        lists.push((by, list(&hierarchy, by, &lines, plan.lists)?));
    }
    Ok(Built {
        hierarchy,
        parties,
        twins,
        lists,
    })
}

/// Makes everything and writes it into a folder.
///
/// # Errors
/// [`PkiError::Exists`] before any key is made; else as [`build`], or when the system refuses.
pub fn make(plan: &Plan, dir: &Path, overwrite: Overwrite) -> Result<Made, PkiError> {
    plan.check()?;
    if overwrite == Overwrite::Refuse {
        files::refuse_existing(planned_paths(plan, dir).iter().map(PathBuf::as_path))?;
    }
    let built = build(plan)?;
    let mut new = authority_files(&built, dir);
    for party in &built.parties {
        new.extend(party_files(party, &dir.join("parties").join(&party.id))?);
    }
    for twin in &built.twins {
        new.extend(twin_files(
            twin,
            plan,
            &dir.join("twins").join(twin.kind.as_str()),
        )?);
    }
    folders(plan, dir)?;
    files::write_all(&new, overwrite)?;
    Ok(Made {
        built,
        files: new.iter().map(|file| file.path().to_path_buf()).collect(),
    })
}

/// Writes one more party into a folder that [`make`] made, issued by the CAs there.
///
/// # Errors
/// As [`make`], and when the folder's CAs cannot be read.
pub fn add_party(
    dir: &Path,
    party: &PartyPlan,
    validity: Validity,
    overwrite: Overwrite,
) -> Result<Vec<PathBuf>, PkiError> {
    party.check()?;
    let folder = dir.join("parties").join(&party.id);
    if overwrite == Overwrite::Refuse {
        files::refuse_existing(party_paths(&folder).iter().map(PathBuf::as_path))?;
    }
    let made = load_hierarchy(dir)?.issue_party(party, validity)?;
    let new = party_files(&made, &folder)?;
    files::folder(&dir.join("parties"), Readers::Owner)?;
    files::folder(&folder, Readers::Owner)?;
    files::write_all(&new, overwrite)?;
    Ok(new.iter().map(|file| file.path().to_path_buf()).collect())
}

/// Reads the four CAs of a folder that [`make`] made.
///
/// # Errors
/// When a file is missing or not a CA's.
pub fn load_hierarchy(dir: &Path) -> Result<Hierarchy, PkiError> {
    let load = |name| load_authority(dir, name);
    Ok(Hierarchy {
        root: load(AuthorityName::Root)?,
        tls: load(AuthorityName::Tls)?,
        partner: load(AuthorityName::Partner)?,
        mosip: load(AuthorityName::Mosip)?,
    })
}

/// Reads one of the CAs of a folder that [`make`] made.
///
/// # Errors
/// When a file is missing or not a CA's.
pub fn load_authority(dir: &Path, name: AuthorityName) -> Result<super::Authority, PkiError> {
    let [certificate, key] = authority_paths(dir, name);
    let read = |path: &Path| {
        std::fs::read(path)
            .map(zeroize::Zeroizing::new)
            .map_err(|error| PkiError::io(path, error))
    };
    super::Authority::load(
        pem::certificates(&read(&certificate)?)?,
        Key::from_pem(&read(&key)?)?,
    )
}

/// Where a CA's certificate and key are.
pub fn authority_paths(dir: &Path, name: AuthorityName) -> [PathBuf; 2] {
    [
        dir.join("ca").join(format!("{name}.pem")),
        dir.join("ca").join(format!("{name}.key.pem")),
    ]
}

/// Where a CA's revocation list is.
pub fn list_path(dir: &Path, name: AuthorityName) -> PathBuf {
    dir.join("crl").join(format!("{name}.crl.pem"))
}

fn list(
    hierarchy: &Hierarchy,
    by: AuthorityName,
    lines: &[super::Revoked],
    validity: Validity,
) -> Result<Vec<u8>, PkiError> {
    hierarchy
        .authority(by)
        .crl(lines, 1, validity.not_before, validity.not_after)
}

fn twin_party(plan: &Plan) -> Option<&PartyPlan> {
    plan.parties
        .iter()
        .find(|party| Some(&party.id) == plan.twins_of.as_ref())
}

fn twin_kinds(of: &PartyPlan) -> impl Iterator<Item = TwinKind> {
    TwinKind::ALL.into_iter().filter(|kind| kind.applies_to(of))
}

fn keys_wanted(plan: &Plan) -> Vec<Algorithm> {
    let mut wanted = vec![plan.authority_algorithm; AuthorityName::ALL.len()];
    for party in &plan.parties {
        wanted.extend(ROLES.map(|role| party.algorithms.of(role)));
    }
    if let Some(of) = twin_party(plan) {
        wanted.extend([plan.authority_algorithm; AuthorityName::ALL.len()]);
        for _ in twin_kinds(of) {
            wanted.extend(ROLES.map(|role| of.algorithms.of(role)));
        }
    }
    wanted
}

const ANCHORS: [AuthorityName; 3] = [
    AuthorityName::Tls,
    AuthorityName::Partner,
    AuthorityName::Mosip,
];

fn anchor_paths(dir: &Path) -> [PathBuf; 3] {
    ANCHORS.map(|name| dir.join("anchors").join(format!("{name}.pem")))
}

fn public_files(
    hierarchy: &Hierarchy,
    lists: &[(AuthorityName, Vec<u8>)],
    dir: &Path,
) -> Vec<NewFile> {
    let mut new = Vec::new();
    for (name, path) in ANCHORS.into_iter().zip(anchor_paths(dir)) {
        new.push(NewFile::public(path, hierarchy.anchor_pem(name)));
    }
    for (name, der) in lists {
        new.push(NewFile::public(
            list_path(dir, *name),
            pem::public("X509 CRL", der),
        ));
    }
    new
}

fn authority_files(built: &Built, dir: &Path) -> Vec<NewFile> {
    let mut new = public_files(&built.hierarchy, &built.lists, dir);
    for name in AuthorityName::ALL {
        let authority = built.hierarchy.authority(name);
        let [certificate, key] = authority_paths(dir, name);
        new.push(NewFile::public(certificate, authority.certificate_pem()));
        new.push(NewFile::secret(
            key,
            authority.key().expose_pem().as_bytes(),
        ));
    }
    new
}

fn party_files(party: &Party, folder: &Path) -> Result<Vec<NewFile>, PkiError> {
    let mut new = pem_files(party, folder);
    for role in ROLES {
        let issued = party.issued(role);
        let alias = format!("{}-{}", party.id, role.as_str());
        let store = write_p12(
            &alias,
            &issued.key,
            &issued.chain_der,
            party.password.expose(),
        )?;
        new.push(NewFile::secret(
            folder.join(format!("{}.p12", role.as_str())),
            &store,
        ));
    }
    let password = zeroize::Zeroizing::new(format!("{}\n", party.password.expose()));
    new.push(NewFile::secret(
        folder.join("password.txt"),
        password.as_bytes(),
    ));
    Ok(new)
}

fn pem_files(party: &Party, folder: &Path) -> Vec<NewFile> {
    let mut new = Vec::new();
    for role in ROLES {
        let issued = party.issued(role);
        new.push(NewFile::public(
            folder.join(format!("{}.pem", role.as_str())),
            issued.chain_pem(),
        ));
        new.push(NewFile::secret(
            folder.join(format!("{}.key.pem", role.as_str())),
            issued.key_pem().as_bytes(),
        ));
    }
    new
}

fn twin_files(twin: &Twin, plan: &Plan, folder: &Path) -> Result<Vec<NewFile>, PkiError> {
    let mut new = pem_files(&twin.party, folder);
    if let Some(hierarchy) = &twin.hierarchy {
        let mut lists = Vec::new();
        for by in AuthorityName::ALL {
            lists.push((by, list(hierarchy, by, &[], plan.lists)?));
        }
        new.extend(public_files(hierarchy, &lists, folder));
    }
    Ok(new)
}

fn folders(plan: &Plan, dir: &Path) -> Result<(), PkiError> {
    for name in ["anchors", "crl"] {
        files::folder(&dir.join(name), Readers::Everybody)?;
    }
    for name in ["ca", "parties"] {
        files::folder(&dir.join(name), Readers::Owner)?;
    }
    for party in &plan.parties {
        files::folder(&dir.join("parties").join(&party.id), Readers::Owner)?;
    }
    if let Some(of) = twin_party(plan) {
        let twins = dir.join("twins");
        files::folder(&twins, Readers::Owner)?;
        for kind in twin_kinds(of) {
            files::folder(&twins.join(kind.as_str()), Readers::Owner)?;
        }
        for name in ["anchors", "crl"] {
            files::folder(
                &twins.join(TwinKind::OtherRoot.as_str()).join(name),
                Readers::Owner,
            )?;
        }
    }
    Ok(())
}

/// Every file that [`make`] would write, known before anything is made.
fn planned_paths(plan: &Plan, dir: &Path) -> Vec<PathBuf> {
    let public = |folder: &Path| {
        let mut paths = anchor_paths(folder).to_vec();
        paths.extend(AuthorityName::ALL.map(|name| list_path(folder, name)));
        paths
    };
    let mut paths = public(dir);
    for name in AuthorityName::ALL {
        paths.extend(authority_paths(dir, name));
    }
    for party in &plan.parties {
        paths.extend(party_paths(&dir.join("parties").join(&party.id)));
    }
    if let Some(of) = twin_party(plan) {
        for kind in twin_kinds(of) {
            let folder = dir.join("twins").join(kind.as_str());
            paths.extend(pem_paths(&folder));
            if kind == TwinKind::OtherRoot {
                paths.extend(public(&folder));
            }
        }
    }
    paths
}

fn party_paths(folder: &Path) -> Vec<PathBuf> {
    let mut paths = pem_paths(folder);
    paths.extend(ROLES.map(|role| folder.join(format!("{}.p12", role.as_str()))));
    paths.push(folder.join("password.txt"));
    paths
}

fn pem_paths(folder: &Path) -> Vec<PathBuf> {
    ROLES
        .into_iter()
        .flat_map(|role| {
            [
                format!("{}.pem", role.as_str()),
                format!("{}.key.pem", role.as_str()),
            ]
        })
        .map(|name| folder.join(name))
        .collect()
}
