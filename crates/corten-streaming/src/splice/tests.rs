use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::splice;

/// Both directions pass, and the end of each goes on to the other side alone.
#[tokio::test]
async fn both_directions_pass_and_end() {
    for is_websocket in [false, true] {
        let (mut client, client_end) = tokio::io::duplex(64);
        let (mut backend, backend_end) = tokio::io::duplex(64);
        let spliced = splice(client_end, backend_end, is_websocket);
        let peers = async {
            let mut got = Vec::new();
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            backend.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"question");
            got.clear();
            backend.write_all(b"\x82\x06answer").await.unwrap();
            backend.shutdown().await.unwrap();
            client.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"\x82\x06answer");
        };
        let (ended, ()) = tokio::join!(spliced, peers);
        ended.unwrap();
    }
}
