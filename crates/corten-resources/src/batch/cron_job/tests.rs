use corten_apimachinery::meta::ObjectMeta;
use serde_json::{Value, json};

use super::{
    RESOURCE,
    schedule::{Schedule, Set, Times},
    strategy,
};
use crate::testing::{context, created, patched, refuses, refuses_update, row, updated, value};

fn cron_job(spec: Value) -> Value {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "a"}]});
    patched(
        json!({"metadata": {"name": "tick"}, "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}}),
        json!({"spec": spec}),
    )
}

#[test]
fn a_minimal_cron_job_gets_all_defaults() {
    let (object, errors) = created(&RESOURCE, cron_job(json!({})));
    assert_eq!(errors, [""; 0]);
    let mut spec = object.get("spec").cloned().unwrap();
    spec.unset(&["jobTemplate"]);
    assert_eq!(
        spec,
        value(json!({
            "schedule": "*/5 * * * *", "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 1,
        }))
    );
    let job = object.at(&["spec", "jobTemplate", "spec"]).unwrap();
    assert_eq!(job.get("completions"), None, "those of jobs come with jobs");
    assert_eq!(job.str_at(&["template", "spec", "dnsPolicy"]), Some("ClusterFirst"));
    assert_eq!((object.generation(), object.get("status")), (1, Some(&value(json!({})))));
}

#[test]
fn cron_jobs_are_checked() {
    let cases: [(Value, &[&str]); 10] = [
        (json!({"schedule": ""}), &["spec.schedule: Required value"]),
        (
            json!({"schedule": "* * *"}),
            &["spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]"],
        ),
        (
            json!({"schedule": "TZ=UTC 0 * * * *"}),
            &[
                "spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field \
               instead",
            ],
        ),
        (
            json!({"startingDeadlineSeconds": -1, "successfulJobsHistoryLimit": -1, "failedJobsHistoryLimit": -2}),
            &[
                "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.successfulJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
                "spec.failedJobsHistoryLimit: Invalid value: -2: must be greater than or equal to 0",
            ],
        ),
        (
            json!({"concurrencyPolicy": "Odd"}),
            &[
                "spec.concurrencyPolicy: Unsupported value: \"Odd\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
            ],
        ),
        (json!({"timeZone": ""}), &["spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"]),
        (json!({"timeZone": "America/Argentina/Buenos_Aires"}), &[]),
        (
            json!({"timeZone": "Local"}),
            &["spec.timeZone: Invalid value: \"Local\": timeZone must be an explicit time zone as defined in \
               https://www.iana.org/time-zones"],
        ),
        (
            json!({"jobTemplate": {"spec": {"selector": {"matchLabels": {"a": "b"}}, "manualSelector": true}}}),
            &[
                "spec.jobTemplate.spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` will be auto-generated",
                "spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"nil\", \"false\"",
            ],
        ),
        (
            json!({"jobTemplate": {"spec": {"parallelism": -1, "template": {"spec": {"restartPolicy": null}}}}}),
            &[
                "spec.jobTemplate.spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
            ],
        ),
    ];
    for (spec, want) in cases {
        refuses(&RESOURCE, cron_job(spec), want);
    }
}

#[test]
fn time_zones_are_known() {
    for zone in
        ["Continent/Zone", "-Europe/Berlin", "Europe//Berlin", "../Europe/Berlin", "europe/berlin", "Amerika/New York"]
    {
        let want = format!("spec.timeZone: Invalid value: \"{zone}\": unknown time zone {zone}");
        refuses(&RESOURCE, cron_job(json!({"timeZone": zone})), &[&want]);
    }
    for zone in ["UTC", "Etc/GMT+8", "US/Eastern", "EST5EDT", "Asia/Kolkata"] {
        refuses(&RESOURCE, cron_job(json!({"timeZone": zone})), &[]);
    }
    // A name that was known once stays.
    let old = cron_job(json!({"timeZone": "Atlantis/Port"}));
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), patched(old, json!({"spec": {"suspend": true}})), &[]);
}

#[test]
fn names_leave_room_for_the_time() {
    let named = |name: &str| patched(cron_job(json!({})), json!({"metadata": {"name": name}}));
    refuses(&RESOURCE, named(&"x".repeat(52)), &[]);
    let long = "x".repeat(53);
    let want = format!("metadata.name: Invalid value: \"{long}\": must be no more than 52 characters");
    refuses(&RESOURCE, named(&long), &[&want]);
    refuses_update(&RESOURCE, RESOURCE.strategy, named(&long), named(&long), &[]);
}

#[test]
fn an_old_time_zone_in_the_schedule_stays() {
    let old = cron_job(json!({"schedule": "TZ=UTC 0 * * * *"}));
    refuses_update(&RESOURCE, RESOURCE.strategy, old.clone(), old.clone(), &[]);
    let both = patched(old.clone(), json!({"spec": {"timeZone": "Europe/Berlin"}}));
    refuses_update(
        &RESOURCE,
        RESOURCE.strategy,
        old.clone(),
        both,
        &[
            "spec.schedule: Invalid value: \"TZ=UTC 0 * * * *\": cannot use both timeZone field and TZ or CRON_TZ in schedule",
        ],
    );
    let old = value(old);
    assert_eq!(
        RESOURCE.strategy.warnings_on_update(&context("v1"), &old, &old),
        ["cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see \
           https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",]
    );
}

#[test]
fn schedules_that_are_none_say_why() {
    for (text, want) in [
        ("0 0 0 0 0 0", "expected exactly 5 fields, found 6: [0 0 0 0 0 0]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
        ("*/-1 * * * *", "negative number (-1) not allowed: -1"),
        ("@often", "unrecognized descriptor: @often"),
        ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
        ("TZ=Atlantis/Port 0 * * * *", "provided bad location Atlantis/Port: unknown time zone Atlantis/Port"),
        ("TZ=UTC", "invalid schedule format: runtime error: slice bounds out of range [:-1]"),
        (
            "99999999999999999999 * * * *",
            "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
        ),
    ] {
        assert_eq!(text.parse::<Schedule>(), Err(want.to_owned()), "{text}");
    }
}

#[test]
fn schedules_are_sets_of_numbers() {
    let bits = |numbers: &[u64]| numbers.iter().fold(0, |bits, number| bits | 1 << number);
    let set = |numbers: &[u64]| Set { bits: bits(numbers), is_any: false };
    let parsed: Schedule = "CRON_TZ=Europe/Berlin 0,30 8-18/5 1 JAN,mar-apr 1/2".parse().unwrap();
    assert_eq!(
        parsed,
        Schedule {
            time_zone: Some("Europe/Berlin".to_owned()),
            times: Times::Calendar {
                minutes: set(&[0, 30]),
                hours: set(&[8, 13, 18]),
                days_of_month: set(&[1]),
                months: set(&[1, 3, 4]),
                days_of_week: set(&[1, 3, 5]),
            },
        }
    );
    let Times::Calendar { days_of_month, days_of_week, minutes, .. } =
        "*/20 0 ? * *".parse::<Schedule>().unwrap().times
    else {
        panic!("a calendar")
    };
    assert_eq!((minutes, days_of_month.is_any, days_of_week.is_any), (set(&[0, 20, 40]), true, true));
    assert_eq!("@daily".parse::<Schedule>(), "0 0 * * *".parse());
    for (text, seconds) in [("@every 1h30m", 5_400), ("@every 10ms", 1), ("@every 1500ms", 1)] {
        assert_eq!(text.parse::<Schedule>().map(|schedule| schedule.times), Ok(Times::Every { seconds }));
    }
}

#[test]
fn a_status_is_not_checked() {
    let with = |status: Value| patched(cron_job(json!({})), json!({"status": status}));
    refuses_update(
        &RESOURCE,
        &strategy::STATUS,
        with(json!({"lastScheduleTime": "2026-01-01T00:00:00Z"})),
        with(json!({})),
        &[],
    );
}

#[test]
fn a_new_spec_is_a_new_generation() {
    let old = patched(cron_job(json!({})), json!({"metadata": {"generation": 1}}));
    let (object, _) =
        updated(&RESOURCE, RESOURCE.strategy, old.clone(), patched(old, json!({"spec": {"suspend": true}})));
    assert_eq!(object.generation(), 2);
}

#[test]
fn a_row_says_when_it_ran() {
    let object = patched(
        cron_job(json!({"suspend": false, "timeZone": "Etc/UTC"})),
        json!({"status": {"active": [{}, {}], "lastScheduleTime": "2026-01-01T11:55:00Z"}}),
    );
    assert_eq!(
        row(&RESOURCE, object),
        ["tick", "*/5 * * * *", "Etc/UTC", "False", "2", "5m", "<unknown>", "c", "a", "<none>"]
    );
    assert_eq!(row(&RESOURCE, cron_job(json!({})))[2..6], ["<none>", "<unset>", "0", "<none>"]);
}
