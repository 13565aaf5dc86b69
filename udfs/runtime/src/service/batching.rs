//! Which prompts of which passes go into the next batch.

use std::collections::VecDeque;

use super::jobs::Job;

/// One prompt's place in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    /// Number of the job in the queue.
    pub(super) job: usize,
    /// Number of the prompt in the job.
    pub(super) prompt: usize,
}

/// Fills a batch of at most `budget` tokens with the next prompts of the jobs, oldest first. Jobs take turns, so that a
/// short question does not wait for the whole of a long one; in the batch, each job's prompts sit next to each other. A
/// prompt longer than the budget rides alone.
pub(super) fn next_batch(jobs: &VecDeque<Job>, budget: usize) -> Vec<Seat> {
    let mut seats = take_turns(jobs, budget);
    seats.sort_by_key(|seat| (seat.job, seat.prompt));
    seats
}

fn take_turns(jobs: &VecDeque<Job>, budget: usize) -> Vec<Seat> {
    let mut next: Vec<usize> = jobs.iter().map(Job::done).collect();
    let (mut seats, mut tokens) = (Vec::new(), 0);
    loop {
        let before = seats.len();
        for (number, (job, next)) in jobs.iter().zip(&mut next).enumerate() {
            let Some(prompt) = job.prompts().get(*next) else { continue };
            if tokens > 0 && tokens + prompt.len() > budget {
                return seats;
            }
            tokens += prompt.len();
            seats.push(Seat { job: number, prompt: *next });
            *next += 1;
        }
        if seats.len() == before {
            return seats;
        }
    }
}
