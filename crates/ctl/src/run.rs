//! From the command line to the verb.

use std::io::{BufWriter, Write};

use clap::CommandFactory;
use sekisho_daemon::config;

use crate::{
    args::{Applied, Args, ReplayArgs, Verb, Watched},
    client, describe,
    errors::Failure,
    events, explain, get, orders, policy, replay, status,
    table::Printer,
    watch,
};

/// Reads the command line and does what it says; what came of it is on standard output.
pub(crate) fn run() -> Result<(), Failure> {
    let args: Args = config::load()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    if let Verb::Completion { shell } = args.verb {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Args::command(), "sekishoctl", &mut script);
        out.write_all(&script)?;
    } else if let Verb::Replay(ReplayArgs { policy, since, data_dir: Some(dir) }) = &args.verb {
        let mut printer = Printer::new(&mut out, args.output, args.verbose);
        replay::offline(dir, policy, *since, &mut printer)?;
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(dispatch(&args, &mut out))?;
    }
    Ok(out.flush()?)
}

async fn dispatch(args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    let policy = policy_file(&args.verb)?;
    let channel = client::connect(&args.connection).await?;
    let mut printer = Printer::new(out, args.output, args.verbose);
    match &args.verb {
        Verb::Get { noun } => get::run(channel, noun, &mut printer).await,
        Verb::Describe { noun } => describe::run(channel, noun, &mut printer).await,
        Verb::Explain { address } => explain::run(channel, *address, &mut printer).await,
        Verb::Block(order) => orders::block(channel, order, &mut printer).await,
        Verb::Unblock(order) => orders::unblock(channel, order, &mut printer).await,
        Verb::Allow(order) => orders::allow(channel, order, &mut printer).await,
        Verb::Disallow(order) => orders::disallow(channel, order, &mut printer).await,
        Verb::Apply { noun: Applied::Policy(order) } => {
            policy::apply(channel, order, policy, &mut printer).await
        }
        Verb::Watch { noun: Some(Watched::Events { wanted, limit }), .. } => {
            events::watch(channel, wanted, *limit, &mut printer).await
        }
        Verb::Watch { lists, noun: None } => watch::run(channel, *lists, &mut printer).await,
        Verb::Replay(wanted) => replay::run(channel, wanted, policy, &mut printer).await,
        Verb::Status => status::run(channel, &mut printer).await,
        Verb::Completion { .. } => Ok(()),
    }
}

/// The text of the policy file that `verb` names, read before any network; empty where it names none.
fn policy_file(verb: &Verb) -> Result<String, Failure> {
    match verb {
        Verb::Apply { noun: Applied::Policy(order) } => policy::read("--file", &order.file),
        Verb::Replay(wanted) => policy::read("--policy", &wanted.policy),
        _ => Ok(String::new()),
    }
}
