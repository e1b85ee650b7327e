using System.Net;

namespace Llama3Cluster.Actors.Links;

/// <summary>
/// The byte stream under a link. One thread receives while another sends; any thread may dispose, which unblocks both. A plain
/// <see cref="SocketTransport"/>, or a <see cref="TlsLinkTransport"/> around it.
/// </summary>
internal interface ILinkTransport : IDisposable
{
    /// <summary>The other end.</summary>
    IPEndPoint Peer { get; }

    /// <summary>How long <see cref="Receive"/> waits before it fails; <see cref="Timeout.InfiniteTimeSpan"/> for ever.</summary>
    TimeSpan ReceiveTimeout { set; }

    /// <summary>How long the peer may take nothing of what is sent before sending fails.</summary>
    TimeSpan SendTimeout { set; }

    /// <summary>Waits for bytes: how many came, 0 at the end of the stream.</summary>
    int Receive(Span<byte> destination);

    /// <summary>Sends all of the header and then all of the payload.</summary>
    void Send(ArraySegment<byte> header, ArraySegment<byte> payload);
}
