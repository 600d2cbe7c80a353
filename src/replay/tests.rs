//! The race of many requests with one proof, for the tests of the stores.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::store::Insertion;
use crate::source_error::SourceError;

const ROUNDS: usize = 10_000;
const TASKS: usize = 64;

/// RFC 9449 §11.1: of many requests at once with one proof, one passes. `insert` gets the number of the task, and
/// that of the round, in which all tasks present the same proof.
pub(crate) async fn assert_one_of_many_passes<F>(
    insert: impl Fn(usize, usize) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Result<Insertion, SourceError>> + Send,
{
    let insert = Arc::new(insert);
    let passed: Arc<Vec<_>> = Arc::new((0..ROUNDS).map(|_| AtomicUsize::new(0)).collect());
    let barrier = Arc::new(tokio::sync::Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (insert, passed) = (Arc::clone(&insert), Arc::clone(&passed));
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                for (round, passed) in passed.iter().enumerate() {
                    barrier.wait().await;
                    if insert(task, round).await.unwrap() == Insertion::New {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for (round, passed) in passed.iter().enumerate() {
        assert_eq!(passed.load(Ordering::Relaxed), 1, "{round}");
    }
}
