// TLS by the files that the environment names.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::env;
use std::net::TcpStream;
use std::sync::Arc;

fn file(variable: &str) -> String {
    env::var(variable).expect("the environment names a file")
}

fn certificates(variable: &str) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file(variable)).expect("a file");
    read.map(|one| one.expect("a certificate")).collect()
}

/// Starts TLS on a connection, whose other end has a certificate of the authority for `host`.
pub fn client(host: &str, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut trust = RootCertStore::empty();
    trust.add_parsable_certificates(certificates("TLS_AUTHORITY"));
    let config = ClientConfig::builder().with_root_certificates(trust).with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).expect("a host name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    StreamOwned::new(session, stream)
}

pub struct Server(Arc<ServerConfig>);

impl Server {
    pub fn from_files() -> Server {
        let key = PrivateKeyDer::from_pem_file(file("TLS_KEY")).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        Server(Arc::new(config.with_single_cert(certificates("TLS_CERTIFICATE"), key).expect("a pair")))
    }

    pub fn accept(&self, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
        StreamOwned::new(ServerConnection::new(self.0.clone()).expect("a session"), stream)
    }
}
