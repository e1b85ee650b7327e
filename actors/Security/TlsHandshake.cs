using System.Net.Security;
using System.Security.Authentication;

namespace Llama3Cluster.Actors.Security;

/// <summary>A peer that is not let in, or whom this node does not want to talk to.</summary>
internal sealed class PeerRefusedException(RefusalKind kind, string reason, Exception? inner = null) : Exception(reason, inner)
{
    public RefusalKind Kind { get; } = kind;
}

/// <summary>The mutual handshake, blocking for data connections and awaited for control ones, with one kind of error for both.</summary>
internal static class TlsHandshake
{
    /// <summary>As the side that was dialed.</summary>
    /// <exception cref="PeerRefusedException">The peer is not of the cluster, or does not speak TLS.</exception>
    public static void Accept(SslStream stream, TlsIdentity identity)
    {
        var check = new PeerCheck(dialedHost: null);
        try
        {
            stream.AuthenticateAsServer(identity.ServerOptions(check));
        }
        catch (AuthenticationException error)
        {
            throw Refused(check, error);
        }
    }

    /// <summary>As the side that dials.</summary>
    /// <exception cref="PeerRefusedException">The peer is not of the cluster, or does not speak TLS.</exception>
    public static void Dial(SslStream stream, string host, TlsIdentity identity)
    {
        var check = new PeerCheck(host);
        try
        {
            stream.AuthenticateAsClient(identity.ClientOptions(host, check));
        }
        catch (AuthenticationException error)
        {
            throw Refused(check, error);
        }
    }

    /// <summary>As the side that was dialed.</summary>
    /// <exception cref="PeerRefusedException">The peer is not of the cluster, or does not speak TLS.</exception>
    public static async Task AcceptAsync(SslStream stream, TlsIdentity identity, CancellationToken cancellation)
    {
        var check = new PeerCheck(dialedHost: null);
        try
        {
            await stream.AuthenticateAsServerAsync(identity.ServerOptions(check), cancellation).ConfigureAwait(false);
        }
        catch (AuthenticationException error)
        {
            throw Refused(check, error);
        }
    }

    /// <summary>As the side that dials.</summary>
    /// <exception cref="PeerRefusedException">The peer is not of the cluster, or does not speak TLS.</exception>
    public static async Task DialAsync(SslStream stream, string host, TlsIdentity identity, CancellationToken cancellation)
    {
        var check = new PeerCheck(host);
        try
        {
            await stream.AuthenticateAsClientAsync(identity.ClientOptions(host, check), cancellation).ConfigureAwait(false);
        }
        catch (AuthenticationException error)
        {
            throw Refused(check, error);
        }
    }

    private static PeerRefusedException Refused(PeerCheck check, AuthenticationException error) => check.Refusal is { } reason
        ? new PeerRefusedException(RefusalKind.Certificate, reason, error)
        : new PeerRefusedException(
            RefusalKind.Handshake,
            $"it does not speak TLS, or broke the handshake off ({error.GetBaseException().Message}); every node of the cluster needs certificates of the same authority",
            error);
}
