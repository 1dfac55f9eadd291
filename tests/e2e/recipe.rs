//! The recipe for a subscriber's queue, and the example's, run word for word.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use aws_sdk_sqs::types::QueueAttributeName;
use inventory_worker::adapters::sqs::bootstrap::find;

use crate::{stack::Stack, world::World};

on_every_stack! {
    the_recipe_for_a_subscriber_and_the_example_follow_each_other_in_either_order
}

/// The queue of the recipe and of the example, without `.fifo`.
const QUEUE: &str = "booking-results";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Python with boto3, and the AWS CLI: they come with LocalStack.
fn tools() -> PathBuf {
    let cache = env::var_os("INVENTORY_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| repository().join(".cache/stack"));
    let entries = fs::read_dir(&cache).unwrap_or_else(|error| panic!("{cache:?}: {error}"));
    let mut names = entries.map(|entry| entry.unwrap().path());
    let is_localstack = |path: &PathBuf| path.to_string_lossy().contains("venv-localstack-");
    names.find(is_localstack).expect("LocalStack's virtual environment").join("bin")
}

/// The code blocks of the section about subscribers: the script, and the files that it reads.
fn recipe() -> [String; 4] {
    let page = fs::read_to_string(repository().join("docs/operations/deploying.md")).unwrap();
    let (_, section) = page.split_once("## A subscriber").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let blocks = section.split("```").skip(1).step_by(2);
    let bodies = blocks.map(|block| block.split_once('\n').unwrap().1.to_owned());
    bodies.collect::<Vec<_>>().try_into().unwrap()
}

struct Subscriber {
    environment: BTreeMap<String, String>,
    topic_arn: String,
    /// In the place of [`QUEUE`].
    queue: String,
}

impl Subscriber {
    fn run(&self, program: &str, arguments: &[&str], directory: &Path) {
        let path = format!("{}:{}", tools().display(), env::var("PATH").unwrap());
        let ended = Command::new(tools().join(program))
            .args(arguments)
            .envs(&self.environment)
            .env("PATH", path)
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, errors) = (ended.stdout, String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success(), "{}{errors}", String::from_utf8_lossy(&out));
    }

    fn follow_the_recipe(&self) {
        let (account, topic) = self.topic_arn.rsplit_once(':').unwrap();
        let (_, account) = account.split_once("sns:").unwrap();
        let here = |text: &str| {
            let text = text.replace(QUEUE, &self.queue).replace("REGION:ACCOUNT", account);
            text.replace("inventory-results.fifo", topic)
        };
        let directory = tempfile::tempdir().unwrap();
        let [script, queue, redrive, subscription] = recipe().map(|text| here(&text));
        let files = [("queue", queue), ("redrive", redrive), ("subscription", subscription)];
        for (name, text) in files {
            fs::write(directory.path().join(format!("{name}.json")), text).unwrap();
        }
        // Version 1 of the CLI, which comes with LocalStack, takes endpoints as an argument alone.
        let to_server = r#"aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }"#;
        let script = format!("{to_server}\n{script}");
        // The shell is found beside no tool: an absolute path replaces the folder.
        self.run("/bin/sh", &["-euc", &script], directory.path());
    }

    fn run_the_example(&self) {
        let (_, topic) = self.topic_arn.rsplit_once(':').unwrap();
        let subscribe = format!(
            "import reserve; reserve.TOPIC = {topic:?}; reserve.RESULTS = '{}.fifo'; \
             reserve.subscribe()",
            self.queue
        );
        self.run("python", &["-c", &subscribe], &repository().join("examples/python"));
    }

    /// What was made: the attributes of both queues and of the subscription, without its names.
    async fn made(&self, stack: &Stack) -> String {
        let mut made = String::new();
        let mut arn = String::new();
        for name in [format!("{}-dlq.fifo", self.queue), format!("{}.fifo", self.queue)] {
            let url = find(&stack.sqs, &name).await.unwrap().unwrap();
            let asked = stack.sqs.get_queue_attributes().queue_url(url);
            let answer = asked.attribute_names(QueueAttributeName::All).send().await.unwrap();
            let all = answer.attributes.unwrap();
            arn.clone_from(&all[&QueueAttributeName::QueueArn]);
            for attribute in [
                QueueAttributeName::DeduplicationScope,
                QueueAttributeName::FifoThroughputLimit,
                QueueAttributeName::MessageRetentionPeriod,
                QueueAttributeName::Policy,
                QueueAttributeName::RedrivePolicy,
            ] {
                let value = all.get(&attribute).map(|value| value.replace(' ', ""));
                made.push_str(&format!("{name} {attribute} {value:?}\n"));
            }
        }
        let asked = stack.sns.list_subscriptions_by_topic().topic_arn(&self.topic_arn);
        let all = asked.send().await.unwrap().subscriptions.unwrap();
        let mine: Vec<_> =
            all.iter().filter(|one| one.endpoint.as_deref() == Some(&*arn)).collect();
        let [mine] = mine.as_slice() else { panic!("one subscription: {mine:?}") };
        let asked = stack.sns.get_subscription_attributes();
        let asked = asked.subscription_arn(mine.subscription_arn.as_deref().unwrap());
        let attributes = asked.send().await.unwrap().attributes.unwrap();
        for name in ["RawMessageDelivery", "FilterPolicy", "RedrivePolicy"] {
            made.push_str(&format!("{name} {}\n", attributes[name]));
        }
        made.replace(&self.queue, QUEUE)
    }
}

async fn the_recipe_for_a_subscriber_and_the_example_follow_each_other_in_either_order(
    stack: Stack,
) {
    let world = World::new(stack).await;
    let named = |queue: &str| Subscriber {
        environment: world.environment.clone(),
        topic_arn: world.topic_arn().to_owned(),
        queue: format!("{}-{queue}", world.name),
    };
    let first = named("a");
    first.follow_the_recipe();
    let of_recipe = first.made(&world.stack).await;
    first.run_the_example();
    assert_eq!(first.made(&world.stack).await, of_recipe);

    let second = named("b");
    second.run_the_example();
    let of_example = second.made(&world.stack).await;
    second.follow_the_recipe();
    assert_eq!(second.made(&world.stack).await, of_example);
    let words = |made: &str| made.replace("\",\"", "\", \"").replace("\\\"", "\"");
    assert_eq!(words(&of_example), words(&of_recipe));
}
