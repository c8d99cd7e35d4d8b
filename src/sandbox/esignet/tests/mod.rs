//! E-Signet from outside: requests as bytes, answers as bytes.

mod logins;
mod tokens;
mod world;
