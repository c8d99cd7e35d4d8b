//! Sealed exchanges against the bare cryptography of the same exchange, in turns of a tenth of a second on the same core.
//!
//! The speed of a shared machine moves by a tenth from one second to the next; what takes turns as short as these has the same
//! share of its good and bad moments.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    crypto::{Bare, Exchange, Running},
    load::{self, Check, Client, Measured, Next, Pace, Shape},
    peers::Server,
    questions::{Bench, SEALED_CONNECTIONS, describe, progress},
    report::{Report, median, rounded},
};

/// One turn.
const TURN: Duration = Duration::from_millis(100);

/// One kind of sealed exchange.
pub struct Sealed<'a> {
    /// Its name in the report.
    pub question: &'static str,
    /// Its figure.
    pub figure: &'static str,
    /// Its cryptography.
    pub exchange: Exchange,
    pub algorithms: &'static str,
    /// Signs so many requests ahead; also says how large they are.
    pub requests: &'a dyn Fn(&Client, usize) -> (Next, Value),
    pub check: Check,
}

/// What both did in one round.
struct Round {
    bare: Bare,
    gateway: Measured,
}

impl Round {
    fn share(&self) -> f64 {
        rounded(self.gateway.per_cpu_s() / self.bare.per_cpu_s())
    }

    fn share_by_wall(&self) -> f64 {
        rounded(self.gateway.per_wall_s() / self.bare.per_wall_s())
    }
}

impl Bench {
    /// Exchanges of one kind against the cryptography of the same exchange alone.
    pub async fn against_bare(&self, triseal: &Server, sealed: &Sealed<'_>, report: &mut Report) {
        let core = self.cores.server;
        let ceiling = Bare::alone(core, &self.pki, sealed.exchange, self.window).await;
        let mut rounds = Vec::new();
        let mut bytes = Value::Null;
        for number in 0..self.rounds {
            let (round, size) = self.in_turns(triseal, sealed, ceiling.per_wall_s()).await;
            progress(sealed.question, number, "triseal", &round.gateway);
            println!(
                "{:18} round {number} bare     {:8.0}/s  {:8.0}/CPU s  share {:.3}",
                sealed.question,
                round.bare.per_wall_s(),
                round.bare.per_cpu_s(),
                round.share(),
            );
            rounds.push(round);
            bytes = size;
        }
        let by_cpu: Vec<f64> = rounds.iter().map(Round::share).collect();
        let by_wall: Vec<f64> = rounds.iter().map(Round::share_by_wall).collect();
        let bare: Vec<Bare> = rounds.iter().map(|round| round.bare).collect();
        let gateway = rounds.into_iter().map(|round| round.gateway).collect();
        report.figure(sealed.figure, median(by_cpu.iter().copied()));
        let mut detail = describe(&[triseal], &[gateway]);
        detail["connections"] = json!(SEALED_CONNECTIONS);
        detail["algorithms"] = json!(sealed.algorithms);
        detail["bytes"] = bytes;
        detail["share_by_cpu"] = json!(by_cpu);
        detail["share_by_wall"] = json!(by_wall);
        detail["share_by_wall_median"] = json!(median(by_wall));
        detail["bare"] = json!({
            "per_cpu_s": rounded(median(bare.iter().map(Bare::per_cpu_s))),
            "us_cpu_each": rounded(median(bare.iter().map(|b| 1e6 / b.per_cpu_s()))),
            "rounds": bare,
        });
        report.detail(sealed.question, detail);
    }

    /// One round: a turn of the gateway, a turn of the bare cryptography, and so on, for as long a window each.
    async fn in_turns(
        &self,
        triseal: &Server,
        sealed: &Sealed<'_>,
        ceiling: f64,
    ) -> (Round, Value) {
        let client = Client::new(triseal.port, &self.pki);
        let seconds = (self.warm + self.window).as_secs_f64();
        // The gateway cannot do more than the bare cryptography on the same core, so this many are enough.
        let count = (ceiling * seconds * 1.2) as usize + SEALED_CONNECTIONS as usize;
        let (next, sizes): (Next, Value) = (sealed.requests)(&client, count);
        let shape = Shape {
            awake: true,
            ..self.shape(SEALED_CONNECTIONS, Pace::Closed)
        };
        let turns = self.window.div_duration_f64(TURN).round() as u32;
        let (pids, cores) = (triseal.pids(), self.cores);
        let mut bare = Running::start(cores.server, &self.pki, sealed.exchange).await;
        let bares_turn = async || bare.turn(TURN).await;
        let gateway = load::measure_in_turns(
            &client,
            &pids,
            cores,
            shape,
            &next,
            &sealed.check,
            turns,
            bares_turn,
        )
        .await;
        let bare = bare.end().await;
        (Round { bare, gateway }, sizes)
    }
}
