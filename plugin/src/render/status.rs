//! How a service is, in sections.

use std::fmt::Write as _;

use super::cells::{self, NONE, UNKNOWN};
use super::table::{Table, Text};
use crate::model::status::{MISSING, ServiceStatus};
use crate::model::{Meta, ServerRow, Streams, Summary, Volume};
use crate::terminal::{Shade, clean, paint};

/// How the sections are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Further columns and names.
    pub wide: bool,
    /// Colours.
    pub colours: bool,
}

/// Names in one line; the JSON holds them all.
const NAMES: usize = 5;

/// The service in sections, the verdict first.
pub fn sections(status: &ServiceStatus, form: Shape) -> String {
    let mut text = verdict(status, form);
    summary(&mut text, status, form);
    conditions(&mut text, status, form);
    if status.summary.external.is_none() {
        servers(&mut text, status, form);
    }
    if let Some(meta) = &status.meta {
        meta_section(&mut text, meta, form);
    }
    storage(&mut text, status, form);
    if let Some(streams) = &status.streams {
        streams_section(&mut text, streams, form);
    }
    pipelines(&mut text, status, form);
    events(&mut text, status, form);
    errors(&mut text, status, form);
    text
}

fn heading(text: &mut String, title: &str, shade: Shade, form: Shape) {
    let _ = writeln!(text, "\n{}", paint(title, shade, form.colours));
}

fn verdict(status: &ServiceStatus, form: Shape) -> String {
    let subject = format!("{}/{}", clean(&status.metadata.namespace), clean(&status.metadata.name));
    let word = paint(cells::level(status.verdict.level), cells::shade(status.verdict.level), form.colours);
    let mut text = match status.verdict.reasons.first() {
        None => format!("{word}: {subject}\n"),
        Some(first) => format!("{word}: {subject}: {} ({})\n", clean(&first.message), first.id),
    };
    for reason in status.verdict.reasons.iter().skip(1) {
        let _ = writeln!(
            text,
            "  {}: {} ({})",
            paint(cells::level(reason.level), cells::shade(reason.level), form.colours),
            clean(&reason.message),
            reason.id
        );
    }
    text
}

fn summary(text: &mut String, status: &ServiceStatus, form: Shape) {
    heading(text, "Summary", Shade::Bold, form);
    text.push_str(&summary_lines(&status.summary, status.metadata.observed_at));
}

/// The service in a few lines, as `status` and `describe` show it.
pub(super) fn summary_lines(summary: &Summary, now: jiff::Timestamp) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {:<13}{}", format!("{name}:"), clean(&value));
    };
    let version = summary.version.clone().unwrap_or_else(|| NONE.to_owned());
    let image = summary.image.as_ref().map(|image| format!(" ({image})")).unwrap_or_default();
    match summary.external {
        Some(mode) => line("Type", format!("{}, external ({mode})", summary.type_)),
        None => line("Type", format!("{} {version}{image}", summary.type_)),
    }
    line("Phase", summary.phase.clone().unwrap_or_else(|| UNKNOWN.to_owned()));
    if let Some(message) = &summary.message {
        line("Message", message.clone());
    }
    line("Usable", if summary.usable { "yes, pipelines may use it".to_owned() } else { "no, pipelines are held back".to_owned() });
    if summary.external.is_none() {
        line("Servers", format!("{}/{} ready", summary.ready, summary.servers));
    }
    match (summary.generation, summary.observed_generation) {
        (Some(generation), Some(carried_out)) if generation == carried_out => line("Generation", format!("{generation}, carried out")),
        (Some(generation), Some(carried_out)) => line("Generation", format!("{generation}, carried out up to {carried_out}")),
        (Some(generation), None) => line("Generation", format!("{generation}, not carried out yet")),
        (None, _) => {}
    }
    line("URL", summary.url.clone().unwrap_or_else(|| NONE.to_owned()));
    if summary.external.is_none() {
        line("TLS", cells::yes(summary.tls));
        line("Encryption", cells::yes(summary.encryption));
        line("Volumes", summary.volume.as_ref().map_or_else(|| "none: messages live and die with the pods".to_owned(), volumes));
    }
    if let Some(instance) = &summary.instance {
        line("Instance", instance.clone());
    }
    if summary.paused {
        line("Paused", "yes, the controller leaves it alone".to_owned());
    }
    if let Some(since) = summary.deleting_since {
        line("Deleting", format!("for {}", cells::age(Some(since), now)));
    }
    line("Age", cells::age(summary.created_at, now));
    text
}

fn volumes(volume: &Volume) -> String {
    let class = volume.storage_class.as_deref().unwrap_or("of the cluster's default");
    format!("{} each, {}, class {class}", volume.size, volume.access_mode)
}

fn conditions(text: &mut String, status: &ServiceStatus, form: Shape) {
    let shade = if status.conditions.is_empty() {
        Shade::Yellow
    } else if status.conditions.iter().all(|condition| condition.status == "True") {
        Shade::Green
    } else {
        Shade::Red
    };
    heading(text, "Conditions", shade, form);
    text.push_str(&conditions_table(&status.conditions, status.metadata.observed_at, form.colours));
}

/// Conditions as a table, as `status` and `describe` show it.
pub(super) fn conditions_table(conditions: &[crate::model::Condition], now: jiff::Timestamp, colours: bool) -> String {
    if conditions.is_empty() {
        return "  none: no controller has looked at it yet\n".to_owned();
    }
    let mut table = Table::new(&["TYPE", "STATUS", "REASON", "AGE", "MESSAGE"], true, colours);
    for condition in conditions {
        let shade = if condition.status == "True" { Shade::Green } else { Shade::Red };
        table.row(vec![
            (&condition.type_).into(),
            Text::shaded(&condition.status, shade),
            (&condition.reason).into(),
            cells::age(Some(condition.since), now).into(),
            (&condition.message).into(),
        ]);
    }
    indent(&table.text())
}

/// Two spaces before each line.
pub(super) fn indent(text: &str) -> String {
    text.lines().fold(String::new(), |mut indented, line| {
        indented.push_str("  ");
        indented.push_str(line);
        indented.push('\n');
        indented
    })
}

fn servers(text: &mut String, status: &ServiceStatus, form: Shape) {
    let well = |row: &ServerRow| row.ready && row.silent.is_none() && row.unhealthy.is_none();
    let shade = if status.servers.iter().all(well) && !status.servers.is_empty() { Shade::Green } else { Shade::Yellow };
    heading(text, "Servers", shade, form);
    if status.servers.is_empty() {
        text.push_str("  none\n");
        return;
    }
    let mut headings = vec!["POD", "ROLE", "READY", "RESTARTS", "NODE", "VERSION", "CONNS", "JS-DISK", "STREAMS", "CONSUMERS", "LAG"];
    if form.wide {
        headings.extend(["STATUS", "IP", "CPU%", "MEM", "SLOW", "AGE"]);
    }
    let mut table = Table::new(&headings, true, form.colours);
    for row in &status.servers {
        let ready = format!("{}/{}", row.containers_ready, row.containers);
        let mut cells: Vec<Text> = vec![
            (&row.pod).into(),
            row.role.clone().unwrap_or_else(|| UNKNOWN.to_owned()).into(),
            Text::shaded(ready, if row.ready { Shade::Green } else { Shade::Red }),
            row.restarts.to_string().into(),
            row.node.clone().unwrap_or_default().into(),
            row.version.clone().unwrap_or_else(|| UNKNOWN.to_owned()).into(),
            cells::count(row.connections).into(),
            row.disk.map_or_else(|| UNKNOWN.to_owned(), cells::disk).into(),
            cells::count(row.streams).into(),
            cells::count(row.consumers).into(),
            cells::count(row.lag).into(),
        ];
        if form.wide {
            cells.extend([
                Text::from(&row.state),
                row.ip.clone().unwrap_or_default().into(),
                row.cpu.map_or_else(|| UNKNOWN.to_owned(), |cpu| format!("{cpu:.0}")).into(),
                row.memory.map_or_else(|| UNKNOWN.to_owned(), cells::bytes).into(),
                cells::count(row.slow_consumers).into(),
                cells::age(row.created_at, status.metadata.observed_at).into(),
            ]);
        }
        table.row(cells);
    }
    text.push_str(&indent(&table.text()));
    for row in &status.servers {
        let pod = clean(&row.pod);
        // That a pod is missing is said by its row and by the verdict.
        if row.state != "Running" && row.state != MISSING {
            let _ = writeln!(text, "  {pod}: {}", clean(&row.state));
        }
        if let Some(why) = &row.unhealthy {
            let _ = writeln!(text, "  {pod} says of itself: {}", clean(why));
        }
        if let Some(why) = &row.silent {
            let _ = writeln!(text, "  could not be asked: {}", clean(why));
        }
    }
}

fn meta_section(text: &mut String, meta: &Meta, form: Shape) {
    let behind: Vec<_> = meta.peers.iter().filter(|peer| !peer.current || peer.offline).collect();
    let shade = match (&meta.leader, behind.is_empty()) {
        (None, _) => Shade::Red,
        (Some(_), false) => Shade::Yellow,
        (Some(_), true) => Shade::Green,
    };
    heading(text, "Meta", shade, form);
    let Some(leader) = &meta.leader else {
        text.push_str("  no leader on which a quorum of the servers agrees\n");
        return;
    };
    let size = meta.size.map(|size| format!(", {}", cells::plural(size, "server"))).unwrap_or_default();
    let pending = meta.pending.filter(|pending| *pending > 0).map(|pending| format!(", {pending} entries to apply")).unwrap_or_default();
    let _ = writeln!(text, "  leader {}{size}{pending}", clean(leader));
    for peer in &meta.peers {
        let state = match (peer.offline, peer.current) {
            (true, _) => "offline",
            (false, true) => "current",
            (false, false) => "catching up",
        };
        let lag = if peer.lag > 0 { format!(", {} entries behind", peer.lag) } else { String::new() };
        if form.wide || state != "current" || peer.lag > 0 {
            let _ = writeln!(text, "  {} {state}{lag}, heard {} ago", clean(&peer.name), cells::short_time(peer.seen_nanoseconds));
        }
    }
}

fn storage(text: &mut String, status: &ServiceStatus, form: Shape) {
    if status.storage.is_empty() {
        return;
    }
    let bound = status.storage.iter().all(|claim| claim.status == "Bound");
    heading(text, "Storage", if bound { Shade::Green } else { Shade::Red }, form);
    let mut headings = vec!["CLAIM", "STATUS", "CAPACITY", "USED", "CLASS"];
    if form.wide {
        headings.extend(["REQUESTED", "VOLUME"]);
    }
    let mut table = Table::new(&headings, true, form.colours);
    for claim in &status.storage {
        let mut cells: Vec<Text> = vec![
            (&claim.claim).into(),
            Text::shaded(&claim.status, if claim.status == "Bound" { Shade::Green } else { Shade::Red }),
            claim.capacity.clone().unwrap_or_default().into(),
            claim.used.map_or_else(|| UNKNOWN.to_owned(), cells::bytes).into(),
            claim.storage_class.clone().unwrap_or_default().into(),
        ];
        if form.wide {
            cells.extend([Text::from(claim.requested.clone().unwrap_or_default()), claim.volume.clone().unwrap_or_default().into()]);
        }
        table.row(cells);
    }
    text.push_str(&indent(&table.text()));
}

fn streams_section(text: &mut String, streams: &Streams, form: Shape) {
    let shade = match (streams.without_leader.is_empty(), streams.behind.is_empty()) {
        (true, true) => Shade::Green,
        (true, false) => Shade::Yellow,
        (false, _) => Shade::Red,
    };
    heading(text, "Streams", shade, form);
    let _ = writeln!(
        text,
        "  {}, {}, {}; {}, {} pending, {} not acknowledged, {} redelivered",
        cells::plural(streams.total, "stream"),
        cells::plural(streams.messages, "message"),
        cells::bytes(streams.bytes),
        cells::plural(streams.consumers, "consumer"),
        streams.pending,
        streams.ack_pending,
        streams.redelivered
    );
    for (what, names) in [("without a leader", &streams.without_leader), ("with a replica behind", &streams.behind)] {
        if !names.is_empty() {
            let _ = writeln!(text, "  {} {what}: {}", names.len(), some_names(names.iter().map(String::as_str), form));
        }
    }
}

fn some_names<'a>(names: impl Iterator<Item = &'a str>, form: Shape) -> String {
    let names: Vec<_> = names.map(clean).collect();
    let shown = if form.wide { names.len() } else { names.len().min(NAMES) };
    let more = names.len() - shown;
    let rest = if more > 0 { format!(" and {more} more (-o wide shows all)") } else { String::new() };
    format!("{}{rest}", names[..shown].join(", "))
}

fn pipelines(text: &mut String, status: &ServiceStatus, form: Shape) {
    let Some(pipelines) = &status.pipelines else { return };
    heading(text, "Pipelines", Shade::Bold, form);
    if pipelines.is_empty() {
        text.push_str("  none use it\n");
        return;
    }
    let names = pipelines
        .iter()
        .map(|pipeline| if pipeline.deleting { format!("{} (being deleted)", pipeline.name) } else { pipeline.name.clone() });
    let names: Vec<_> = names.collect();
    let _ = writeln!(text, "  {}: {}", names.len(), some_names(names.iter().map(String::as_str), form));
}

fn events(text: &mut String, status: &ServiceStatus, form: Shape) {
    let Some(events) = &status.events else { return };
    heading(text, "Events", if events.warning > 0 { Shade::Yellow } else { Shade::Green }, form);
    let _ = writeln!(text, "  {} normal, {}", events.normal, cells::plural(events.warning as u64, "warning"));
    let shown = events.latest.iter().filter(|event| form.wide || event.type_ == "Warning");
    for event in shown {
        let age = cells::age(event.last, status.metadata.observed_at);
        let _ =
            writeln!(text, "  {age} ago {} {}: {} (x{})", clean(&event.object), clean(&event.reason), clean(&event.message), event.count);
    }
}

fn errors(text: &mut String, status: &ServiceStatus, form: Shape) {
    let is_server = |source: &str| status.servers.iter().any(|row| row.pod == source && row.silent.is_some());
    let others: Vec<_> = status.errors.iter().filter(|gap| !is_server(&gap.source)).collect();
    if others.is_empty() {
        return;
    }
    heading(text, "Not looked at", Shade::Yellow, form);
    for gap in others {
        let _ = writeln!(text, "  {}: {}", clean(&gap.source), clean(&gap.message));
    }
}
