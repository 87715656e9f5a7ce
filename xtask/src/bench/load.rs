//! Sends a request to two servers, or as two callers, over a number of keep-alive connections, and takes the
//! time of each answer. It must not know what is compared.
use super::variants::Variant;
use anyhow::{Result, anyhow, ensure};
use std::sync::Barrier;
use std::time::Duration;
use testbed::Request;
use testbed::clock::monotonic;
use testbed::http::Connection;

/// The times of both sides.
#[derive(Default)]
pub(super) struct Times {
    pub(super) ours: Vec<Duration>,
    pub(super) theirs: Vec<Duration>,
}

/// Requests that one connection sends to one side before the other side's turn. Short, so that whatever else the
/// machine does meets both; but not so short that each side finds the processor's caches full of the other: a server
/// that has something to do does not.
const TURN_ALONE: usize = 20;
const TURN_TOGETHER: usize = 6;
/// Turns of each side at least, however few requests there are.
const LEAST_TURNS: usize = 4;

/// The time of each answer, `requests_each` of them per connection and side. Connecting and one first request per
/// connection are not counted.
pub(super) fn measure(sides: [(&Variant, &Request); 2], connections: usize, requests_each: usize) -> Result<Times> {
    let together = Barrier::new(connections);
    std::thread::scope(|scope| {
        let work = || worker(sides, requests_each, &together, connections);
        let workers: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        let mut all = Times::default();
        for worker in workers {
            let times = worker.join().map_err(|_| anyhow!("a connection's thread panicked"))??;
            all.ours.extend(times.ours);
            all.theirs.extend(times.theirs);
        }
        Ok(all)
    })
}

fn worker(sides: [(&Variant, &Request); 2], count: usize, together: &Barrier, connections: usize) -> Result<Times> {
    let [mut ours, mut theirs] = sides.map(|(variant, request)| Side::open(variant, request));
    let most = if connections == 1 { TURN_ALONE } else { TURN_TOGETHER };
    let turn = (count / LEAST_TURNS).clamp(1, most);
    for number in 0..count.div_ceil(turn) {
        let length = turn.min(count - number * turn);
        // Who goes first changes, so that what the first leaves behind in the machine's caches favours nobody.
        let order = if number % 2 == 0 { [&mut ours, &mut theirs] } else { [&mut theirs, &mut ours] };
        for side in order {
            // A worker that failed goes on to the end: the others would wait for it forever.
            together.wait();
            side.send(length);
        }
    }
    Ok(Times { ours: ours.finish()?, theirs: theirs.finish()? })
}

/// One connection of one side.
struct Side<'a> {
    variant: &'a Variant,
    request: &'a Request,
    connection: Result<Connection>,
    times: Vec<Duration>,
}

impl<'a> Side<'a> {
    fn open(variant: &'a Variant, request: &'a Request) -> Self {
        let connection = Connection::open(variant.address).and_then(|mut connection| {
            connection.send(&Request::get("/"))?;
            Ok(connection)
        });
        Self { variant, request, connection, times: Vec::new() }
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count {
            let Ok(connection) = &mut self.connection else { return };
            let request = self.request.clone().headers(&(self.variant.headers)());
            let start = monotonic();
            let answer = connection.send(&request);
            self.times.push(start.elapsed());
            let Variant { name, status, .. } = self.variant;
            if let Err(fault) = answer.and_then(|answer| {
                ensure!(answer.status == *status, "{name} answers {}: {}", answer.status, answer.text());
                Ok(())
            }) {
                self.connection = Err(fault);
            }
        }
    }

    fn finish(self) -> Result<Vec<Duration>> {
        self.connection.map(|_| self.times)
    }
}
