use isbsvc::api::names;
use isbsvc::limits;
use isbsvc::rules::overrides::VERB;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::timeout;

use super::store::in_words;
use crate::admission::{Access, Permission};

/// Asks the API server whether somebody may override rules of a service. Who it is goes into the question and nowhere else.
pub(super) async fn ask(client: &Client, access: &Access) -> Permission {
    let review = SubjectAccessReview { spec: question(access), ..SubjectAccessReview::default() };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    match timeout(limits::ACCESS_REVIEW, api.create(&PostParams::default(), &review)).await {
        Ok(Ok(answer)) => match answer.status {
            Some(status) if status.allowed && status.denied != Some(true) => Permission::Granted,
            Some(_) => Permission::Refused,
            None => Permission::Unknown("the API server's answer says nothing".to_owned()),
        },
        // What the API server says of a question that it refuses may quote who asks.
        Ok(Err(kube::Error::Api(status))) => Permission::Unknown(format!("the API server refused the question ({})", status.code)),
        Ok(Err(error)) => Permission::Unknown(in_words(&error)),
        Err(_) => Permission::Unknown(format!("no answer of the API server within {} ms", limits::ACCESS_REVIEW.as_millis())),
    }
}

fn question(access: &Access) -> SubjectAccessReviewSpec {
    let asker = &access.asker;
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    SubjectAccessReviewSpec {
        user: text(&asker.username),
        uid: text(&asker.uid),
        groups: asker.groups.clone(),
        extra: asker.extra.clone().map(|extra| extra.into_iter().map(|(key, values)| (key, values.unwrap_or_default())).collect()),
        resource_attributes: Some(ResourceAttributes {
            group: Some(names::GROUP.to_owned()),
            version: Some("v1alpha1".to_owned()),
            resource: Some(names::PLURAL.to_owned()),
            verb: Some(VERB.to_owned()),
            namespace: Some(access.namespace.clone()),
            name: Some(access.name.clone()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}
