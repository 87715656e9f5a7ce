//! Sends the same request over a number of keep-alive connections and takes the time of each answer. It must not know
//! what is compared.
use super::variants::Variant;
use anyhow::{Result, anyhow, ensure};
use std::sync::Barrier;
use std::time::Duration;
use testbed::Request;
use testbed::clock::monotonic;
use testbed::http::Connection;

/// The time of each answer. Connecting and one first request per connection are not counted.
pub(super) fn measure(
    variant: &Variant,
    request: &Request,
    connections: usize,
    requests_each: usize,
) -> Result<Vec<Duration>> {
    let together = Barrier::new(connections);
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..connections).map(|_| scope.spawn(|| worker(variant, request, requests_each, &together))).collect();
        let mut times = Vec::new();
        for worker in workers {
            times.extend(worker.join().map_err(|_| anyhow!("a connection's thread panicked"))??);
        }
        Ok(times)
    })
}

fn worker(variant: &Variant, request: &Request, count: usize, together: &Barrier) -> Result<Vec<Duration>> {
    // The barrier first: a worker that cannot connect must not leave the others waiting.
    let connection = Connection::open(variant.address);
    together.wait();
    let mut connection = connection?;
    connection.send(&Request::get("/"))?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let request = request.clone().headers(&(variant.headers)());
        let start = monotonic();
        let answer = connection.send(&request)?;
        times.push(start.elapsed());
        ensure!(answer.status == variant.status, "{} answers {}: {}", variant.name, answer.status, answer.text());
    }
    Ok(times)
}
