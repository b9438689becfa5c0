//! What the tests stand on: PostgreSQL and the S3 store come back with everything, and go with their value.

use std::net::TcpStream;
use std::time::Duration;

use nuage_tests::object_store::ObjectStore;
use nuage_tests::postgres::Postgres;
use nuage_tests::postgres::Stop;
use nuage_tests::wait::wait_until;

#[test]
fn postgres_comes_back_with_what_it_held_and_goes_with_its_value() {
    let postgres = Postgres::start();
    let database = postgres.database();
    postgres
        .ask(
            &database,
            "CREATE TABLE t (n INT); INSERT INTO t VALUES (7)",
        )
        .ok();

    for how in [Stop::Fast, Stop::Immediate] {
        postgres.stop(how);
        assert_ne!(postgres.ask(&database, "SELECT 1").code, 0, "it is away");
        postgres.start_again();
        assert_eq!(postgres.number(&database, "SELECT n FROM t"), 7);
    }

    let url = postgres.url(&database);
    let folder = url.split(['@', '/']).nth(3).unwrap().replace("%2F", "/");
    assert!(std::path::Path::new(&folder).exists());
    drop(postgres);
    assert!(!std::path::Path::new(&folder).exists());
}

#[test]
fn the_store_comes_back_at_its_port_and_goes_with_its_value() {
    let store = ObjectStore::start();
    let bucket = store.bucket();
    let endpoint = store.endpoint();
    let address = endpoint.strip_prefix("http://").unwrap();
    assert!(TcpStream::connect(address).is_ok());

    store.kill();
    assert!(TcpStream::connect(address).is_err());
    store.start_again();
    assert!(TcpStream::connect(address).is_ok());
    assert_eq!(store.endpoint(), endpoint);

    let folder = store.folder_of(&bucket);
    assert!(folder.exists());
    drop(store);
    assert!(!folder.exists());
    wait_until("nobody listens any more", Duration::from_secs(5), || {
        TcpStream::connect(address).is_err()
    });
}
