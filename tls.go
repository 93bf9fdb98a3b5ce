package fenfa

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// TLSFiles are files in PEM form. Empty fields say nothing.
type TLSFiles struct {
	CA         string // authorities that may vouch for the node; empty: those that the machine trusts
	Cert       string // certificate that the client shows, where the node asks for one
	Key        string // of Cert
	ServerName string // name that the node's certificate is for; empty: the host of the address
}

// WithTLSFiles encrypts the connection. The files are read again for each new
// connection, so that certificates are renewed without a restart; what cannot be read
// then fails the connection, and the next attempt reads again. Files that cannot be
// read at the beginning fail Dial.
func WithTLSFiles(files TLSFiles) DialOption {
	return func(c *dialConfig) { c.tlsFiles = &files }
}

// load returns the configuration that the files make for connections to addr.
func (f TLSFiles) load(addr string) (*tls.Config, error) {
	if f.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, errorf(CodeInvalidArgument, "node address: %w", err).withField("addr")
		}
		f.ServerName = host
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if (f.Cert == "") != (f.Key == "") {
		return nil, errorf(CodeInvalidArgument, "a certificate and its key go together: give both, or none").withField("tls")
	}
	if f.CA != "" {
		if _, err := f.roots(); err != nil {
			return nil, errorf(CodeInvalidArgument, "%w", err).withField("tls.ca")
		}
		// What vouches for the node is read for each connection.
		config.InsecureSkipVerify = true // VerifyConnection verifies.
		config.VerifyConnection = f.verify
	}
	if f.Cert != "" {
		if _, err := tls.LoadX509KeyPair(f.Cert, f.Key); err != nil {
			return nil, errorf(CodeInvalidArgument, "load certificate: %w", err).withField("tls.cert")
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
			if err != nil {
				return nil, fmt.Errorf("load certificate: %w", err)
			}
			return &pair, nil
		}
	}
	return config, nil
}

func (f TLSFiles) roots() (*x509.CertPool, error) {
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read authorities: %s holds no certificate in PEM form", f.CA)
	}
	return pool, nil
}

// verify does what the handshake would do, with the authorities as they are now. The
// name is not that of the state, which has none where the address is an IP.
func (f TLSFiles) verify(state tls.ConnectionState) error {
	roots, err := f.roots()
	if err != nil {
		return err
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the node shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: f.ServerName})
	return err
}
