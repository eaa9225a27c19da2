//! Rules about a change, as policies ask them.

use crate::rules::change::RECREATE;

use super::object::ADDRESS;
use super::{Question, text};

fn question(found: String) -> Question {
    Question::Change { found, target: None }
}

/// Both sides are a `JetStream` service.
const BOTH: &str = "variables.types.all(it, 'spec.jetstream' in it)";

pub(super) fn type_change() -> Question {
    question(format!(
        "variables.types[1].size() == 1 && variables.types[0].size() < 2 && variables.types[0] != variables.types[1] ? [variables.types[1][0] + {}] : []",
        text(
            ": the type of a live service cannot change, because its unread messages would stay behind; create a second service with another name, move \
             the Pipelines to it, then delete this one"
        )
    ))
}

/// A switch that is never touched.
pub(super) fn toggle(name: &str, harm: &str) -> Question {
    question(format!(
        "{BOTH} && variables.{name}[0] != variables.{name}[1] ? ['spec.jetstream.{name}: changing ' + string(variables.{name}[1]) + ' to ' + \
         string(variables.{name}[0]) + {}] : []",
        text(&format!(" on a live service {harm}; {RECREATE}"))
    ))
}

pub(super) fn persistence() -> Question {
    let whole = |condition: &str, message: &str| {
        format!("({BOTH} && {condition} ? [{}] : [])", text(&format!("spec.jetstream.persistence: volumes {message}; {RECREATE}")))
    };
    let added =
        whole("variables.persistent[0] && !variables.persistent[1]", "cannot be added to a live service, because they would be empty");
    let taken = whole(
        "!variables.persistent[0] && variables.persistent[1]",
        "cannot be taken from a live service, because its messages are on them",
    );
    let part = |condition: &str, field: &str, of: &dyn Fn(u8) -> String| {
        format!(
            "({BOTH} && variables.persistent[0] && variables.persistent[1] && {condition} ? ['spec.jetstream.persistence.{field}: ' + {} + ' to ' + {} \
             + ' would need new volumes; keep ' + {} + {}] : [])",
            of(1),
            of(0),
            of(1),
            text(&format!(", or {RECREATE}"))
        )
    };
    let class = part("variables.storageClass[0] != variables.storageClass[1]", "storageClassName", &|at| {
        format!("(variables.storageClass[{at}].size() == 0 ? 'the default class' : variables.storageClass[{at}][0])")
    });
    let mode = part("variables.accessMode[0] != variables.accessMode[1]", "accessMode", &|at| format!("variables.accessMode[{at}]"));
    // Quantities compare by value: 20Gi = 20480Mi.
    let is = |at: u8| format!("isQuantity(variables.volumeSize[{at}])");
    let differs = format!(
        "({} && {} ? quantity(variables.volumeSize[0]).compareTo(quantity(variables.volumeSize[1])) != 0 : {} || {})",
        is(0),
        is(1),
        is(0),
        is(1)
    );
    let size = part(&differs, "volumeSize", &|at| format!("variables.volumeSize[{at}]"));
    question(format!("{added} + {taken} + {class} + {mode} + {size}"))
}

/// What both rules about the number of servers say first.
const COUNTS: &str = "'spec.jetstream.replicas: ' + string(variables.servers[1]) + ' to ' + string(variables.servers[0])";

pub(super) fn replicas_shrink() -> Question {
    let found = format!(
        "{BOTH} && variables.servers[0] < variables.servers[1] && variables.servers[0] >= 3 ? [{COUNTS} + {}] : []",
        text(
            " would lose what only the removed servers hold, and the removed ones would still count for the quorum; keep the number, or create a second \
             service and move the Pipelines"
        )
    );
    Question::Change { found, target: Some("string(variables.servers[0])") }
}

pub(super) fn replicas_cluster_switch() -> Question {
    question(format!(
        "{BOTH} && variables.servers[0] >= 1 && (variables.servers[1] < 3) != (variables.servers[0] < 3) ? [{COUNTS} + {}] : []",
        text(&format!(" switches between a single server and a cluster, and either loses the streams of the other; {RECREATE}"))
    ))
}

/// What `version-downgrade` leaves out.
pub(super) const FLOATING: &str = "but not of words such as latest, whose release stands in the controller configuration or nowhere";

pub(super) fn version_downgrade() -> Question {
    let found = format!(
        "{BOTH} && variables.release[0] >= 0 && variables.release[0] < variables.release[1] ? ['spec.jetstream.version: ' + variables.version[0] + \
         ' is older than ' + variables.version[1] + {}] : []",
        text(", and may not read what that one stored; keep it, or create a second service and move the Pipelines")
    );
    Question::Change { found, target: Some("variables.version[0]") }
}

pub(super) fn external_endpoint() -> Question {
    let value = |at: u8, name: &str| {
        let value = format!("variables.external[{at}].{name}");
        format!("(has({value}) && type({value}) == string ? string({value}) : '')")
    };
    // To addresses that no client can have connected to, nothing was written.
    let addresses = format!("[{} != '' ? {} : {}]", value(1, "masterName"), value(1, "sentinelUrl"), value(1, "url"));
    let reachable = format!("{addresses}.exists(it, it != '' && it.split(',').all(one, {ADDRESS}))");
    let field = |name: &str| {
        let of = |at: u8| value(at, name);
        // An address may hold a user and a password before its `@` (law secret-silence).
        let shown = |at: u8| format!("({0} == '' ? 'none' : {0}.substring({0}.lastIndexOf('@') + 1))", of(at));
        format!(
            "(variables.types.all(it, 'spec.redis.external' in it) && ({reachable}) && {} != {} ? ['spec.redis.external.{name}: ' + {} + ' to ' + {} + {}] : [])",
            of(0),
            of(1),
            shown(1),
            shown(0),
            text(&format!(
                " would leave unread messages behind at the old place; create a second service and move the Pipelines to it, or {RECREATE}"
            ))
        )
    };
    question(["url", "sentinelUrl", "masterName"].map(field).join(" + "))
}

pub(super) fn instance() -> Question {
    question(format!(
        "variables.instance[0] != variables.instance[1] ? [{} + variables.instance[1] + '\" to \"' + variables.instance[0] + {}] : []",
        text(&format!("metadata.annotations[{}]: \"", crate::api::names::INSTANCE_ANNOTATION)),
        text("\" would hand the live service to another controller, and its Pipelines would no longer find it; leave it as it was")
    ))
}
