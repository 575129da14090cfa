//! Starts a hub and stops it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::middleware::from_fn_with_state;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::admin::Operators;
use crate::config::{Config, Reread};
use crate::gate::door::Door;
use crate::gate::listener::{Address, Listener};
use crate::gate::open_files::{OpenFiles, Shortage};
use crate::gate::proxies::Proxies;
use crate::gate::refusals::Refusals;
use crate::gate::speaking::Routers;
use crate::gate::{self, Gate, accept};
use crate::reactor::{self, Reactor};
use crate::tls::{BadPair, Tls};
use crate::turned_down::TurnedDown;
use crate::{acme, described, http, page};

/// A hub that runs.
#[derive(Debug)]
pub struct Server {
    address: Address,
    gate: Arc<Gate>,
    reactor: Arc<Reactor>,
    admin_address: Option<Address>,
    refusals: Arc<Refusals>,
    turned_down: Arc<TurnedDown>,
    tls: Option<Arc<Tls>>,
    /// Limits of the gate as they are written: what there are open files for may be less.
    limits: Mutex<gate::limits::Limits>,
    open_files: Option<OpenFiles>,
    /// Where operators come, if they have an address of their own.
    of_operators: Option<Arc<Door>>,
    /// Has the certificate looked at that the hub gets by itself.
    wants_certificate: Arc<Notify>,
    /// What runs until the hub stops: accept loops, and the teller of refusals.
    tasks: Vec<JoinHandle<()>>,
    drain: Duration,
}

/// Why a hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: Address,
        /// What the system says.
        source: io::Error,
    },
    /// Its threads do not start.
    #[error(transparent)]
    Reactor(#[from] reactor::StartError),
}

impl Server {
    /// Starts a hub within the tokio runtime that this is called on, which serves HTTP; shards bring their threads.
    ///
    /// # Errors
    /// [`StartError`] says what the system refused.
    pub fn start(mut config: Config) -> Result<Self, StartError> {
        let limits = Mutex::new(config.gate.clone());
        let open_files = raise_open_files(&mut config);
        tell(&config);
        let durability = config.told_of_durability();
        let (listener, own) = listen(config.listen, config.admin_listen)?;
        let (listener, address) = listener;
        let data_dir = config.data_dir.as_deref();
        let reactor = Reactor::start(config.core, config.keys, config.shards, data_dir)?;
        for line in durability.lines() {
            info!(target: "server", "{line}");
        }
        let refusals = Arc::new(Refusals::default());
        let door = Door::new(config.gate.clone(), config.proxies, config.tls.clone(), Arc::clone(&refusals));
        let gate = Gate::new(Arc::clone(&door), config.origins, Arc::clone(&reactor));
        let operators = Operators::new(&gate);
        let (api, mut described) = http::router(&gate);
        let mut public = operators.health();
        if config.public_metrics {
            let names = gate.origins().loopback.then(|| gate.origins().hosts.clone());
            public = public.merge(operators.public_metrics(names));
        }
        let (public, of_operators) = public.split_for_parts();
        described.merge(of_operators);
        let router = gate::router(Arc::clone(&gate))
            .merge(public)
            .merge(described::router(&described))
            .merge(page::router(config.demo));
        let turned_down = Arc::new(TurnedDown::new(Arc::clone(&reactor)));
        let mut tasks = vec![tokio::spawn(keep_telling(Arc::clone(&refusals), Arc::clone(&turned_down)))];
        tasks.extend(config.tls.clone().map(|tls| tokio::spawn(keep_looking(tls))));
        let wants_certificate = Arc::<Notify>::default();
        if let Some((plan, tls)) = config.acme.zip(config.tls.clone()) {
            tasks.push(tokio::spawn(acme::keep(plan, tls, Arc::clone(&wants_certificate))));
        }
        let admin_address = own.as_ref().map(|(_, address)| address.clone());
        let of_operators = own
            .as_ref()
            .map(|_| Door::new(for_operators(&config.gate), Proxies::default(), None, Arc::clone(&refusals)));
        if let Some(((listener, _), door)) = own.zip(of_operators.clone()) {
            tasks.push(tokio::spawn(accept::serve(
                listener,
                operators.router(config.admin_hosts).into(),
                door,
            )));
        }
        let for_pages = api.clone().layer(from_fn_with_state(Arc::clone(&gate), http::origin::check));
        let at_its_path = from_fn_with_state(Arc::clone(&gate), gate::at_its_path);
        let careful = router.clone().merge(for_pages).layer(at_its_path);
        let routers = Routers { careful, plain: router.merge(api) };
        tasks.push(tokio::spawn(accept::serve(listener, routers, door)));
        Ok(Self {
            address,
            admin_address,
            gate,
            reactor,
            refusals,
            turned_down,
            tls: config.tls,
            limits,
            open_files,
            of_operators,
            wants_certificate,
            tasks,
            drain: config.drain,
        })
    }

    /// Where operators ask, if they have an address of their own.
    #[must_use]
    pub fn admin_address(&self) -> Option<&Address> {
        self.admin_address.as_ref()
    }

    /// Where it listens; tells which port was free if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether clients have to speak TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads the certificate and its key again, if there is one, and says what came of it; or has another got, if one is due.
    pub fn read_certificate(&self) {
        self.wants_certificate.notify_one();
        // What the hub got by itself may be newer than what could be kept of it.
        if let Some(tls) = self.tls.clone().filter(|tls| tls.proofs().is_none()) {
            tokio::task::spawn_blocking(move || tell_of_certificate(tls.read_again()));
        }
    }

    /// From now on all of this holds: bearers of tokens by keys that are gone are sent away, what rules do not allow ends, and
    /// other origins and limits are for those who come. Gives what changed, in words.
    ///
    /// # Errors
    /// What the system says when it has no thread to check tokens. Then nothing changes.
    pub fn change(&self, reread: Reread) -> io::Result<String> {
        let mut before = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let mut limits = reread.gate_limits(&before);
        let topics = self.reactor.topics();
        let told = reread.told_of_limits(&before, &topics.rates().within(topics.limits()));
        let core_limits = reread.core_limits().clone();
        let Reread { access, written, keys, origins, .. } = reread;
        let keys = self.reactor.change_keys(keys)?;
        topics.change_access(access);
        topics.rates().change(&core_limits);
        let are_others = origins != *self.gate.origins();
        let others_may_come = if are_others { "; other pages or programs may come" } else { "" };
        let is_same = std::mem::replace(&mut *before, limits.clone()) == limits;
        let shortage = self.open_files.and_then(|files| files.fit(&mut limits)).filter(|_| !is_same);
        tell_shortage(shortage);
        // Those wait for the next start, however many files there are.
        let now = self.gate.door().limits();
        (limits.handshakes_max, limits.refusals_max) = (now.handshakes_max, now.refusals_max);
        if let Some(door) = &self.of_operators {
            door.change(for_operators(&limits));
        }
        self.gate.change(origins, limits);
        let rules = match written {
            1 => "1 access rule was read and holds".to_owned(),
            count => format!("{count} access rules were read and hold"),
        };
        Ok(format!("{rules} from now on; {keys}{others_may_come}{told}; {WAITS}"))
    }

    /// Lets nobody in any more, sends all clients away with a time to come back, and waits until they have gone or
    /// their time is over. Health is answered until the end.
    pub async fn stop(self) {
        self.gate.shut();
        let who = match self.gate.connections() {
            1 => "1 connection has".to_owned(),
            count => format!("{count} connections have"),
        };
        info!(target: "server", "stopping: {who} {} s to go", self.drain.as_secs());
        self.reactor.drain(self.drain);
        let until = Instant::now() + self.drain;
        while self.gate.connections() > 0 && Instant::now() < until {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        for task in self.tasks {
            task.abort();
        }
        if let Some(storage) = self.reactor.storage() {
            storage.close().await;
        }
        self.refusals.tell();
        self.turned_down.tell();
        match self.gate.connections() {
            0 => info!(target: "server", "stopped"),
            1 => info!(target: "server", "stopped; 1 connection was cut off"),
            left => info!(target: "server", "stopped; {left} connections were cut off"),
        }
    }
}

/// What is to be known of a configuration that a hub starts with.
fn tell(config: &Config) {
    for warning in &config.warnings {
        warn!(target: "server", "{warning}");
    }
    if config.demo && !page::has_demo() {
        warn!(target: "server", "the demo's page is not in this binary; `npm run build` makes both");
    }
}

/// Tells sums of those who were refused something, for ever.
async fn keep_telling(refusals: Arc<Refusals>, turned_down: Arc<TurnedDown>) {
    let mut interval = tokio::time::interval(TELLING);
    loop {
        interval.tick().await;
        refusals.tell();
        turned_down.tell();
    }
}

/// Looks for another certificate, for ever.
async fn keep_looking(tls: Arc<Tls>) {
    let mut interval = tokio::time::interval(CERTIFICATE_LOOK);
    loop {
        interval.tick().await;
        let looking = Arc::clone(&tls);
        // Files may be slow.
        if let Ok(Some(read)) = tokio::task::spawn_blocking(move || looking.look()).await {
            tell_of_certificate(read);
        }
    }
}

fn tell_of_certificate(read: Result<Option<String>, BadPair>) {
    match read {
        Ok(warning) => {
            info!(target: "server", "the certificate was read again and holds for new connections");
            if let Some(warning) = warning {
                warn!(target: "server", "{warning}");
            }
        }
        Err(why) => warn!(target: "server", "the certificate stays as it is: {why}"),
    }
}

/// Takes as many open files as the system gives, and no more connections than they allow.
fn raise_open_files(config: &mut Config) -> Option<OpenFiles> {
    let Ok(files) = rlimit::increase_nofile_limit(u64::MAX) else {
        warn!(target: "server", "the limit on open files cannot be raised; connections may be refused early");
        return None;
    };
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let operators = config.admin_listen.as_ref().map_or(0, |_| OPERATORS_MAX);
    let open_files = OpenFiles { files, shards: config.shards, operators };
    tell_shortage(open_files.fit(&mut config.gate));
    Some(open_files)
}

fn tell_shortage(shortage: Option<Shortage>) {
    if let Some(Shortage { files, connections, wanted }) = shortage {
        warn!(
            target: "server",
            "{files} open files leave room for {connections} connections, not {wanted}; raise the limit on open \
             files (ulimit -n, LimitNOFILE) or lower `limits.connections_max`"
        );
    }
}

/// Limits where operators come, who are few.
fn for_operators(limits: &gate::limits::Limits) -> gate::limits::Limits {
    gate::limits::Limits { handshakes_max: OPERATORS_MAX, ..limits.clone() }
}

/// Listens where clients and operators connect, and tells which ports were free if 0 was asked for.
fn listen(
    clients: Address,
    operators: Option<Address>,
) -> Result<(Listening, Option<Listening>), StartError> {
    let mut passed = Address::passed([&clients].into_iter().chain(&operators))
        .map_err(|source| StartError::Listen { address: clients.clone(), source })?;
    let mut at = |address: Address| {
        Listener::at(&address, &mut passed).map_err(|source| StartError::Listen { address, source })
    };
    let listening = (at(clients)?, operators.map(at).transpose()?);
    if let Some(left) = passed.left() {
        warn!(target: "server", "systemd passes {left} too, which no address asks for; nobody listens there");
    }
    Ok(listening)
}

type Listening = (Listener, Address);

/// Said of what a change of the file may not have taken up.
const WAITS: &str = "what else is in the file waits for the next start";
/// Connections of operators at once.
const OPERATORS_MAX: usize = 32;
/// Between two lines about one reason or code.
const TELLING: Duration = Duration::from_secs(10);
/// How often the certificate's files are looked at. A change is taken up when they have been still for so long.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);
/// How often a stopping hub looks whether all have gone.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
