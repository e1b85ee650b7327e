using System.IO.Pipelines;
using System.Net.Sockets;
using Llama3Cluster.Gateway.Tcp.Protocol;

namespace Llama3Cluster.Gateway.Tests.Tcp;

/// <summary>Frames of a connection without the client.</summary>
internal static class RawFrames
{
    public static byte[] Of(params ClientMessage[] messages)
    {
        var frames = new FrameWriter();
        foreach (ClientMessage message in messages)
            frames.Add(message, ClientMessageCodec.Write);
        return frames.Written.ToArray();
    }

    public static byte[] Of(ServerMessage message)
    {
        var frames = new FrameWriter();
        frames.Add(message, ServerMessageCodec.Write);
        return frames.Written.ToArray();
    }

    /// <summary>Reads all messages up to a clean end of the connection.</summary>
    public static async Task<List<ServerMessage>> ReadToEndAsync(NetworkStream stream)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        var frames = new FrameReader(PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true)));
        var messages = new List<ServerMessage>();
        while (await frames.ReadAsync(ServerMessageCodec.Read, 1 << 20, timeout.Token) is { } message)
            messages.Add(message);
        return messages;
    }
}
