using System.Net.Security;
using System.Security.Authentication;

namespace Llama3Cluster.Actors.Security;

/// <summary>
/// Who a node is to the others, and whom it believes: its certificate and key, and the cluster's own authority. Both sides of
/// every connection show a certificate. The files are read again when they have changed, so that certificates can be replaced
/// while the node runs: connections that exist stay, new ones take the new certificate.
/// </summary>
public sealed class TlsIdentity
{
    private static readonly TimeSpan LookAgainAfter = TimeSpan.FromSeconds(1);

    private readonly TlsFiles _files;
    private readonly TimeProvider _clock;
    private readonly Lock _lock = new();
    private TlsMaterial _material;
    private (DateTime, DateTime, DateTime) _written;
    private long _lookedAt;

    private TlsIdentity(TlsFiles files, TimeProvider clock)
    {
        _files = files;
        _clock = clock;
        _written = WrittenAt();
        _material = TlsMaterial.Load(files, clock.GetUtcNow());
        _lookedAt = clock.GetTimestamp();
    }

    /// <summary>When the node's certificate expires.</summary>
    public DateTimeOffset ExpiresAt => Current().Certificate.NotAfter;

    /// <summary>The names and addresses under which other nodes may dial this one.</summary>
    public IReadOnlyList<string> Names => PeerCheck.NamesOf(Current().Certificate);

    /// <summary>Why the files that changed last are not in use; null when they are.</summary>
    public string? ReloadProblem { get; private set; }

    /// <summary>Reads the files and checks them.</summary>
    /// <param name="files">The files.</param>
    /// <param name="clock">The time by which certificates expire; null for the system's.</param>
    /// <exception cref="TlsFilesException">They cannot be used.</exception>
    public static TlsIdentity Load(TlsFiles files, TimeProvider? clock = null) => new(files, clock ?? TimeProvider.System);

    /// <summary>Whether other nodes may dial this one under a name or an address.</summary>
    public bool Bears(string host) => Current().Certificate.MatchesHostname(host, allowWildcards: false, allowCommonName: false);

    /// <summary>For the side that was dialed.</summary>
    internal SslServerAuthenticationOptions ServerOptions(PeerCheck check)
    {
        TlsMaterial material = Current();
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = material.Context,
            ClientCertificateRequired = true,
            CertificateChainPolicy = material.NewChainPolicy(),
            RemoteCertificateValidationCallback = check.Accept,
            EnabledSslProtocols = Protocols,
            AllowRenegotiation = false,
            AllowTlsResume = false, // every connection shows and checks certificates
        };
    }

    /// <summary>For the side that dials.</summary>
    internal SslClientAuthenticationOptions ClientOptions(string host, PeerCheck check)
    {
        TlsMaterial material = Current();
        return new SslClientAuthenticationOptions
        {
            TargetHost = host,
            ClientCertificateContext = material.Context,
            CertificateChainPolicy = material.NewChainPolicy(),
            RemoteCertificateValidationCallback = check.Accept,
            EnabledSslProtocols = Protocols,
            AllowRenegotiation = false,
            AllowTlsResume = false,
        };
    }

    private static SslProtocols Protocols => SslProtocols.Tls12 | SslProtocols.Tls13;

    private TlsMaterial Current()
    {
        lock (_lock)
        {
            if (_clock.GetElapsedTime(_lookedAt) < LookAgainAfter)
                return _material;
            _lookedAt = _clock.GetTimestamp();
            var written = WrittenAt();
            if (written == _written)
                return _material;

            try
            {
                _material = TlsMaterial.Load(_files, _clock.GetUtcNow());
                _written = written;
                ReloadProblem = null;
            }
            catch (TlsFilesException error) // half written, perhaps: the next connection looks again
            {
                ReloadProblem = error.Message;
            }

            return _material;
        }
    }

    private (DateTime, DateTime, DateTime) WrittenAt() =>
        (File.GetLastWriteTimeUtc(_files.Authority), File.GetLastWriteTimeUtc(_files.Certificate), File.GetLastWriteTimeUtc(_files.Key));
}
