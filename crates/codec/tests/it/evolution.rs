//! Every schema version reads what the one before wrote. New files under `schemas/` are
//! checked without being named here.

use std::path::{Path, PathBuf};

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use codec::encode::Encoder;
use codec::mini_registry::MiniRegistry;
use codec::registry::{Registration, Registry, RegistryError, RegistrySettings, value_subject};
use order_schemas::{
    INVENTORY_RESULT_V1, NOTIFICATION_V1, ORDER_OUTCOME_V1, ORDER_TALLY_V1, ORDER_V1, ORDER_V2,
    OrderRecord, PRODUCT_AVERAGE_V1, STOCK_LEVEL_V1,
};

/// Records by folder name, each with its versions' texts from 1 on.
pub(crate) fn released() -> Vec<(String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(folders.len() >= 3, "schemas are missing from {}", root.display());
    folders
        .iter()
        .map(|folder| {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let count = std::fs::read_dir(folder).unwrap().count();
            let read = |n| std::fs::read_to_string(folder.join(format!("v{n}.avsc")));
            let versions =
                (1..=count).map(|n| read(n).unwrap_or_else(|e| panic!("{name} v{n}: {e}")));
            (name.clone(), versions.collect())
        })
        .collect()
}

#[test]
fn every_version_reads_what_the_one_before_wrote() {
    for (record, versions) in released() {
        let schemas: Vec<_> =
            versions.iter().map(|text| Schema::parse_str(text).unwrap()).collect();
        for (n, pair) in schemas.windows(2).enumerate() {
            let found = SchemaCompatibility::can_read(&pair[0], &pair[1]);
            assert_eq!(found, Ok(Compatibility::Full), "{record} v{} reads v{}", n + 2, n + 1);
            assert_eq!(pair[0].name(), pair[1].name(), "{record} keeps its name");
        }
    }
}

#[test]
fn the_latest_version_is_the_one_that_the_program_reads_with() {
    let built_in = [
        ("inventory_result", INVENTORY_RESULT_V1),
        ("notification", NOTIFICATION_V1),
        ("order", ORDER_V2),
        ("order_outcome", ORDER_OUTCOME_V1),
        ("order_tally", ORDER_TALLY_V1),
        ("product_average", PRODUCT_AVERAGE_V1),
        ("stock_level", STOCK_LEVEL_V1),
        ("weather", include_str!("../../../../schemas/weather/v1.avsc")),
    ];
    assert_eq!(released().len(), built_in.len());
    for ((record, versions), (name, latest)) in released().iter().zip(built_in) {
        assert_eq!((record.as_str(), versions.last().unwrap().as_str()), (name, latest));
    }
}

#[test]
fn order_version_1_is_the_contract_word_for_word() {
    let schema: serde_json::Value = serde_json::from_str(ORDER_V1).unwrap();
    let contract = serde_json::json!({
        "type": "record",
        "name": "Order",
        "namespace": "com.example.orders",
        "fields": [
            {"name": "orderId", "type": "string"},
            {"name": "product", "type": "string"},
            {"name": "price", "type": "float"},
        ],
    });
    assert_eq!(schema, contract);
}

#[tokio::test]
async fn the_mini_registry_keeps_to_backward_as_a_real_one() {
    let server = MiniRegistry::start().await.unwrap();
    check_registry(server.url(), "").await;
}

/// What any registry must do for the programs, in memory or real.
pub(crate) async fn check_registry(url: &str, suffix: &str) {
    let registry = Registry::new(RegistrySettings::new(url).unwrap()).unwrap();
    registry.set_compatibility("BACKWARD").await.unwrap();
    assert_eq!(registry.compatibility().await.as_deref(), Ok("BACKWARD"));
    for (record, versions) in released() {
        let subject = value_subject(&format!("{record}{suffix}"));
        let unknown = registry.look_up(&subject, &versions[0]).await.unwrap_err();
        assert!(matches!(unknown, RegistryError::NotFound { .. }), "{unknown}");
        for text in &versions {
            let id = registry.register(&subject, text).await.unwrap();
            assert_eq!(registry.register(&subject, text).await, Ok(id), "{record}");
            assert_eq!(registry.look_up(&subject, text).await, Ok(id), "{record}");
            let fetched = registry.schema_by_id(id).await.unwrap();
            let same: [serde_json::Value; 2] =
                [&fetched.text, text].map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(same[0], same[1]);
            assert_eq!((fetched.kind.as_str(), fetched.references.len()), ("AVRO", 0));
        }
        // A registry lists no more than so many subjects: ours need not be among them.
        assert!(!registry.subjects().await.unwrap().is_empty());

        // A reader of it would find no value in older data, and no default.
        let new_field = r#""fields": [{"name": "unheard", "type": "string"},"#;
        let demanding = versions[0].replacen(r#""fields": ["#, new_field, 1);
        let refused = registry.register(&subject, &demanding).await.unwrap_err();
        assert!(matches!(refused, RegistryError::Incompatible { .. }), "{refused}");
        let invalid = registry.register(&subject, r#"{"type":"nope"}"#).await.unwrap_err();
        assert!(matches!(invalid, RegistryError::Rejected { .. }), "{invalid}");
    }
    let missing = registry.schema_by_id(2_000_000_000).await.unwrap_err();
    assert!(matches!(missing, RegistryError::NotFound { .. }), "{missing}");
    check_encoders(&registry, &value_subject(&format!("encoders{suffix}"))).await;
    check_spellings(&registry, &value_subject(&format!("spellings{suffix}"))).await;
}

/// What somebody else registered is found however it is spelled, and no version is added.
async fn check_spellings(registry: &Registry, subject: &str) {
    use Registration::{LookUpOnly, Register};
    let compact: serde_json::Value = serde_json::from_str(ORDER_V2).unwrap();
    let mut documented = compact.clone();
    documented["doc"] = "registered by another tool".into();
    documented["fields"][0]["doc"] = "the order's id".into();
    // An object's attributes in another order: serde_json sorts them, the file does not.
    for (spelling, text) in [
        ("white space", ORDER_V2.replace('\n', "\n\t ")),
        ("order of attributes", compact.to_string()),
        ("doc", documented.to_string()),
    ] {
        let subject = format!("{subject}-{}", spelling.replace(' ', "-"));
        assert_ne!(text, ORDER_V2, "{spelling}");
        let id = registry.register(&subject, &text).await.unwrap();
        let versions = registry.versions(&subject).await.unwrap();
        assert_eq!(versions.len(), 1, "{spelling}");
        for registration in [LookUpOnly, Register] {
            let encoder = Encoder::<OrderRecord>::connect(registry, &subject, registration).await;
            assert_eq!(encoder.unwrap().schema_id(), id, "{spelling}, {registration:?}");
        }
        let after = registry.versions(&subject).await.unwrap();
        assert_eq!(after, versions, "{spelling} adds a version");
        // What is new is still registered.
        registry.find_or_register(&subject, ORDER_V1).await.unwrap();
        assert_eq!(registry.versions(&subject).await.unwrap().len(), 2, "{spelling}");
    }
}

async fn check_encoders(registry: &Registry, subject: &str) {
    use Registration::{LookUpOnly, Register};
    let missing = Encoder::<OrderRecord>::connect(registry, subject, LookUpOnly).await.unwrap_err();
    assert!(matches!(missing, RegistryError::NotFound { .. }), "{missing}");
    let v1 =
        Encoder::<OrderRecord>::connect_as(registry, subject, ORDER_V1, Register).await.unwrap();
    let v2 = Encoder::<OrderRecord>::connect(registry, subject, Register).await.unwrap();
    assert_ne!(v1.schema_id(), v2.schema_id());
    let again = Encoder::<OrderRecord>::connect(registry, subject, LookUpOnly).await.unwrap();
    assert_eq!(again.schema_id(), v2.schema_id());
    // A producer that still writes v1 starts after one that writes v2.
    let late =
        Encoder::<OrderRecord>::connect_as(registry, subject, ORDER_V1, Register).await.unwrap();
    assert_eq!(late.schema_id(), v1.schema_id());
}
