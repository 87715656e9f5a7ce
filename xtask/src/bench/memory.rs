//! The highest memory of a server while something large goes through it, beside a bare server's: whoever holds all
//! labels uploads a file and fetches archives, and none of that may pass through the plugin's memory.
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use testbed::dicom::{self, Instance};
use testbed::{Client, Orthanc, OrthancBuilder, Request, Version, password_hash, plugin};

const MIB: usize = 1 << 20;

/// One table. `largest` is the size of the upload in MiB; the archives are of four files of half that size. Each round
/// measures both servers in turns: how many of an archive's files a server has in memory at once depends on how far the
/// client is, so that one run says little.
pub(super) fn run(version: Version, largest: usize, rounds: usize) -> Result<()> {
    let roles =
        json!({"admin-role": {"permissions": ["all", "view", "upload", "download"], "authorized-labels": ["*"]}});
    let users = json!({"admin": {"PasswordHash": password_hash("admin")?, "Roles": ["admin-role"]}});
    let bare = Orthanc::builder(version);
    let gated = Orthanc::builder(version)
        .plugin(plugin::release_library()?)
        .configure(&json!({"Authorization": {"Users": users, "Roles": roles}}));
    let contenders = [Contender::new(bare, largest)?, Contender::new(gated, largest)?];

    let ways = [Way::Upload, Way::GetArchive, Way::PostArchive];
    let mut marks = ways.map(|_| [Vec::new(), Vec::new()]);
    for round in 1..=rounds {
        for (way, marks) in ways.into_iter().zip(&mut marks) {
            for (contender, marks) in contenders.iter().zip(marks) {
                let mark = contender.highest(way, largest)?;
                eprintln!("bench: round {round} of {rounds}, {}: {mark:.0} MiB", way.name(largest));
                marks.push(mark);
            }
        }
    }
    println!("| highest resident memory, MiB: lowest, median, highest of {rounds} | bare | with the plugin | more |");
    println!("|---|--:|--:|--:|");
    for (way, [mut bare, mut gated]) in ways.into_iter().zip(marks) {
        let (bare, gated) = (spread(&mut bare)?, spread(&mut gated)?);
        let more: Vec<String> = bare.iter().zip(gated).map(|(bare, gated)| format!("{:+.0}", gated - bare)).collect();
        let shown = |marks: [f64; 3]| marks.map(|mark| format!("{mark:.0}")).join(", ");
        println!("| {} | {} | {} | {} |", way.name(largest), shown(bare), shown(gated), more.join(", "));
    }
    println!("\nGoal: at most 20 MiB more.");
    Ok(())
}

/// The lowest, the median and the highest.
fn spread(marks: &mut [f64]) -> Result<[f64; 3]> {
    let median = super::median(marks);
    let (lowest, highest) = marks.first().zip(marks.last()).context("no rounds")?;
    Ok([*lowest, median, *highest])
}

/// A server that is measured, and the folder with the study that its archives are of.
struct Contender {
    builder: OrthancBuilder,
    folder: tempfile::TempDir,
    study: String,
}

impl Contender {
    fn new(builder: OrthancBuilder, largest: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut server = builder.clone().folder(folder.path()).start()?;
        let client = server.client().with_basic("admin", "admin");
        let mut study = String::new();
        for number in 0..4 {
            study = dicom::upload(&client, image(number, largest / 2))?.study;
        }
        server.stop()?;
        Ok(Self { builder, folder, study })
    }

    /// With a server of its own, whose highest mark nothing else has moved.
    fn highest(&self, way: Way, largest: usize) -> Result<f64> {
        let empty = tempfile::tempdir()?;
        let folder = if way == Way::Upload { empty.path() } else { self.folder.path() };
        let mut server = self.builder.clone().folder(folder).start()?;
        let client = server.client().with_basic("admin", "admin");
        if way == Way::Upload {
            dicom::upload(&client, image(0, largest))?;
        } else {
            archive(&client, way, &self.study, largest)?;
        }
        let mark = highest(&server)?;
        server.stop()?;
        Ok(mark)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Upload,
    GetArchive,
    PostArchive,
}

impl Way {
    fn name(self, largest: usize) -> String {
        match self {
            Self::Upload => format!("upload of {largest} MiB"),
            Self::GetArchive => format!("GET of an archive of {} MiB", largest * 2),
            Self::PostArchive => format!("POST for an archive of {} MiB", largest * 2),
        }
    }
}

/// Noise, as what can be compressed would make the archive small; repeated each MiB, farther than ZIP looks back.
fn image(number: usize, mebibytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ number as u64;
    let pixels = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let pixels = pixels.take(MIB / 8).flatten().collect::<Vec<u8>>().repeat(mebibytes);
    let image = Instance::named("large", "study", "series", &format!("image {number}"));
    image.raw((0x7fe0, 0x0010), "OW", pixels).to_bytes()
}

fn archive(client: &Client, way: Way, study: &str, largest: usize) -> Result<()> {
    let request = match way {
        Way::PostArchive => {
            Request::new("POST", "/tools/create-archive").json(&json!({"Resources": [study], "Synchronous": true}))
        }
        _ => Request::get(&format!("/studies/{study}/archive")),
    };
    let answer = client.send(request)?.expect_status(200)?;
    anyhow::ensure!(answer.body.len() > largest * MIB * 3 / 2, "an archive of {} bytes", answer.body.len());
    Ok(())
}

/// `VmHWM` in MiB.
fn highest(server: &Orthanc) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
