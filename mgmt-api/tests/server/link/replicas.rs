//! Several servers on one PostgreSQL: a device listens to one of them, a caller asks another.

use foreman_protocol::Dial;
use futures_util::{SinkExt, StreamExt};
use journeys::database::Database;
use tokio_tungstenite::tungstenite::Message;

use super::device::{TestDevice, open, refusal};
use crate::running::Running;

#[tokio::test]
async fn a_device_comes_to_the_replica_where_somebody_waits() {
    let database = Database::postgresql();
    let one = Running::on(&database, &[]);
    // Its address has to be known before it starts.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let advertised = format!("http://{address}");
    let key = one.data.join("link.key");
    let seal = one.data.join("seal.key");
    let keys = ["--link-key-file", key.to_str().unwrap(), "--seal-key-file", seal.to_str().unwrap()];
    let options = [&["--listen", &address, "--advertise-url", &advertised], &keys[..]].concat();
    let two = Running::on(&database, &options);

    let admin = one.token("admin");
    let device = TestDevice::join(&one, &admin).await;
    let mut commands = device.listen().await;
    let (url, path, bearer) = (two.url.clone(), device.path("relay"), admin.clone());
    let client = tokio::spawn(async move { open(&url, &path, &bearer, &[]).await });
    let dial: Dial = commands.dial().await.unwrap();
    assert_eq!(dial.server.as_deref(), Some(advertised.as_str()));
    // The ticket means nothing where nobody waits.
    let here = Dial { server: None, ..dial.clone() };
    assert_eq!(refusal(device.come(&here).await).1["code"], "forbidden");
    let mut far = device.come(&dial).await.unwrap();
    let mut near = client.await.unwrap().unwrap();
    near.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(far.next().await.unwrap().unwrap(), Message::binary(vec![1, 2, 3]));

    // A replica that was not told its address cannot be come to, and says so at once.
    let three = Running::on(&database, &keys);
    let refused = refusal(open(&three.url, &device.path("relay"), &admin, &[]).await);
    assert_eq!(refused.1["code"], "device_unreachable");
    let again = TestDevice::join(&three, &admin).await;
    assert_eq!(again.server_key, device.server_key, "replicas with one key file have one key");
}
