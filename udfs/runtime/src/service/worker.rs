//! The worker: a handle to the thread that owns a model and runs it for all who ask.

use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::jobs::Job;
use super::pass::Pass;
use super::serve::{Task, serve};
use crate::generate::{Engine, Gauges, Generation, GenerationOptions, GenerationStatus, Request, Ticket};
use crate::model::Model;
use crate::{Error, ErrorKind, Result};

/// A handle to the thread that runs a model. The thread ends when the last handle is gone and nothing is left to do.
#[derive(Debug, Clone)]
pub struct Worker {
    model: Arc<Model>,
    queue: mpsc::Sender<Task>,
    generation: GenerationOptions,
    /// Places of texts that wait.
    places: Arc<Semaphore>,
    gauges: Arc<Gauges>,
}

impl Worker {
    /// Starts a thread for `model`. `queue` passes may wait; `budget` tokens go into one batch.
    pub(super) fn start(
        name: &str,
        model: Arc<Model>,
        queue: usize,
        budget: usize,
        generation: GenerationOptions,
    ) -> Result<Self> {
        let (sender, receiver) = mpsc::channel(queue);
        let gauges = Arc::new(Gauges::default());
        let engine = Engine::new(generation, Arc::clone(&gauges));
        let own = Arc::clone(&model);
        thread::Builder::new()
            .name(format!("model {name}"))
            .spawn(move || serve(&own, receiver, budget, engine))
            .map_err(|error| Error::new(ErrorKind::Internal, format!("no thread for model {name}: {error}")))?;
        let places = Arc::new(Semaphore::new(generation.waiting.min(Semaphore::MAX_PERMITS)));
        Ok(Self { model, queue: sender, generation, places, gauges })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Runs `pass` over `prompts`, one token sequence each. Waits while the queue is full. Dropping the future cancels.
    ///
    /// # Errors
    /// `InvalidInput` for a prompt without tokens or longer than the model's context; what the pass itself fails with;
    /// `OutOfMemory`.
    pub async fn run<P: Pass>(&self, prompts: Vec<Vec<u32>>, pass: P) -> Result<P::Answer> {
        for prompt in &prompts {
            check_length(&self.model, prompt.len())?;
        }
        let (reply, answer) = oneshot::channel();
        self.send(Task::Pass(Job::new(prompts, pass, reply))).await?;
        answer.await.map_err(|_| worker_gone())?
    }

    /// Generates a text. Waits while too many others wait; dropping what it gives cancels.
    ///
    /// # Errors
    /// `InvalidInput`, before anything runs, for a prompt without tokens, with one that is not in the vocabulary, or that leaves
    /// no room in the context; for more tokens than may be asked for; for sampling that makes no sense, an empty stop string; and
    /// for what [`Plan::new`](crate::steer::Plan::new) refuses, with its other kinds.
    pub async fn generate(&self, request: Request) -> Result<Generation> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| worker_gone())?;
        let (sender, events) = mpsc::unbounded_channel();
        let ticket = Ticket::new(&self.model, request, &self.generation, sender, place)?;
        self.send(Task::Text(Box::new(ticket))).await?;
        Ok(Generation::of(events))
    }

    /// What the generation engine is at.
    pub fn generation_status(&self) -> GenerationStatus {
        self.gauges.read()
    }

    /// Bounds of generation.
    pub fn generation_options(&self) -> &GenerationOptions {
        &self.generation
    }

    /// Runs `work` on the model's thread, with nothing else beside it. For what a [`Pass`] cannot do: several passes that depend on
    /// each other, or changes of the model's values. Dropping the future cancels what has not begun.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn alone<T: Send + 'static>(&self, work: impl FnOnce(&Model) -> Result<T> + Send + 'static) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let work = move |model: &Model| {
            if !reply.is_closed() {
                let _ = reply.send(work(model));
            }
        };
        self.send(Task::Alone(Box::new(work))).await?;
        answer.await.map_err(|_| worker_gone())?
    }

    async fn send(&self, task: Task) -> Result<()> {
        self.queue.send(task).await.map_err(|_| worker_gone())
    }
}

fn worker_gone() -> Error {
    Error::new(ErrorKind::Internal, "the model's worker is gone")
}

fn check_length(model: &Model, tokens: usize) -> Result<()> {
    let longest = model.config().n_ctx;
    if tokens == 0 {
        return Err(Error::new(ErrorKind::InvalidInput, "the prompt has no tokens")
            .with_hint("give it some text, or let a BOS token be put in front"));
    }
    if tokens > longest {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the prompt has {tokens} tokens, and the model's context holds {longest}"),
        )
        .with_hint("cut the prompt"));
    }
    Ok(())
}
