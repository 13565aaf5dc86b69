//! The descriptions of Neuronpedia's records, made from the shapes that their SQL and JSON are made from.

use std::borrow::Cow;

use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::http::prisma::{self, Json, Member, Shape};

/// A feature with all that is known of it.
#[derive(Debug)]
pub(in crate::http) enum Feature {}

impl PartialSchema for Feature {
    fn schema() -> RefOr<Schema> {
        let feature = record("A feature with all that is known of it", prisma::FEATURE);
        let feature = with(feature, "model", or_null(reference("Model")));
        let feature = with(feature, "source", or_null(reference("Source")));
        let feature = with(feature, "sourceSet", or_null(reference("SourceSet")));
        let feature = with(feature, "creator", or_null(reference("User")));
        let feature = with(feature, "lists", array(reference("ListItem")));
        let feature = with(feature, "comments", array(reference("Comment")));
        let feature = with(feature, "activations", array(reference("Activation")));
        with(feature, "explanations", array(reference("Explanation"))).into()
    }
}

impl ToSchema for Feature {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Feature")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        let registry = |what: &str, shape| {
            // An imported record keeps the members that have no column of their own.
            ObjectBuilder::from(record(what, shape)).additional_properties(Some(AdditionalProperties::FreeForm(true)))
        };
        let asker =
            ObjectBuilder::new().property("id", text()).required("id").property("name", text()).required("name");
        let explanation = record("What a feature responds to, in words", prisma::EXPLANATION);
        let explanation = with(explanation, "triggeredByUser", or_null(asker.into()));
        let explanation = with(explanation, "scores", array(reference("Score")));
        let comment = with(record("A remark on a feature", prisma::COMMENT), "user", or_null(reference("User")));
        let item = with(record("A feature's place on a list", prisma::LIST_ITEM), "list", reference("List"));
        let user = ObjectBuilder::new().property("name", text()).required("name");
        let named: [(&str, RefOr<Schema>); 10] = [
            ("Model", registry("A language model", prisma::MODEL).into()),
            ("Source", registry("A dictionary of features at one point of a model", prisma::SOURCE).into()),
            ("SourceSet", registry("The sources of one kind over a model's layers", prisma::SOURCE_SET).into()),
            ("Activation", record("A feature's values on a text, strongest first", prisma::ACTIVATION).into()),
            ("Explanation", explanation.into()),
            ("Score", record("How well an explanation predicts activations", prisma::SCORE).into()),
            ("Comment", comment.into()),
            ("ListItem", item.into()),
            ("List", record("A list of features", prisma::LIST).into()),
            ("User", user.into()),
        ];
        schemas.extend(named.map(|(name, schema)| (name.to_owned(), schema)));
    }
}

fn record(what: &str, shape: Shape) -> Object {
    let object = ObjectBuilder::new().description(Some(what));
    shape
        .iter()
        .fold(object, |object, member| object.property(member.name, value(member)).required(member.name))
        .build()
}

fn with(object: Object, name: &str, schema: RefOr<Schema>) -> Object {
    ObjectBuilder::from(object).property(name, schema).required(name).build()
}

fn value(member: &Member) -> RefOr<Schema> {
    let plain = |kind| ObjectBuilder::new().schema_type(either(kind, member.nullable));
    match member.json {
        Json::Text => plain(Type::String).into(),
        Json::Integer => plain(Type::Integer).into(),
        Json::Number => plain(Type::Number).into(),
        Json::Flag => plain(Type::Boolean).into(),
        Json::Time => plain(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into(),
        Json::Texts => array(text()),
        Json::Integers => array(ObjectBuilder::new().schema_type(Type::Integer).into()),
        Json::Numbers => array(ObjectBuilder::new().schema_type(either(Type::Number, true)).into()),
    }
}

fn either(kind: Type, nullable: bool) -> SchemaType {
    if nullable { SchemaType::from_iter([kind, Type::Null]) } else { SchemaType::new(kind) }
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

fn array(items: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(items).into()
}

fn reference(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

fn or_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    AnyOfBuilder::new().item(ObjectBuilder::new().schema_type(Type::Null)).item(schema).into()
}
