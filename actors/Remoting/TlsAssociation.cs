using System.Buffers.Binary;
using System.Net.Security;
using System.Threading.Channels;
using Akka.Actor;
using Akka.Remote.Transport;
using Google.Protobuf;

namespace Llama3Cluster.Actors.Remoting;

/// <summary>
/// One encrypted connection of Akka.Remote: frames of a length (32 bits, little-endian) and a payload. One loop writes what was
/// queued, many frames at a time; another reads once Akka.Remote has said who listens. Whichever ends closes the connection.
/// </summary>
internal sealed class TlsAssociation : AssociationHandle
{
    private const int PrefixBytes = sizeof(uint);
    private const int EnvelopeBytes = 1024; // what Akka.Remote adds to a message that is as long as it may be
    private const int MostQueuedFrames = 4096;
    private const int BatchBytes = 64 << 10;
    private static readonly TimeSpan FlushPatience = TimeSpan.FromSeconds(1);

    private readonly SslStream _stream;
    private readonly int _mostFrameBytes;
    private readonly Channel<ByteString> _outgoing = Channel.CreateBounded<ByteString>(new BoundedChannelOptions(MostQueuedFrames) { SingleReader = true });
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _finishing;

    public TlsAssociation(Address local, Address remote, SslStream stream, int mostPayloadBytes)
        : base(local, remote)
    {
        _stream = stream;
        _mostFrameBytes = mostPayloadBytes + EnvelopeBytes;
    }

    /// <summary>Done when the connection is closed.</summary>
    public Task Closed => _closed.Task;

    /// <summary>Begins to write, and to read as soon as there is a listener.</summary>
    public void Start()
    {
        _ = WriteAsync();
        _ = ReadAsync();
    }

    /// <inheritdoc/>
    /// <returns>False if the queue is full or the connection closed; Akka.Remote tries again later.</returns>
    public override bool Write(ByteString payload) => _outgoing.Writer.TryWrite(payload);

    /// <inheritdoc/>
    [Obsolete("As in the base class, whose other overload logs the reason.")]
    public override void Disassociate() => Finish();

    /// <summary>Writes what is queued, then closes; closes anyway if the peer does not take it soon.</summary>
    public void Finish()
    {
        _outgoing.Writer.TryComplete();
        if (Interlocked.Exchange(ref _finishing, 1) == 0)
            Task.Delay(FlushPatience).ContinueWith(_ => Close(), TaskScheduler.Default);
    }

    private async Task WriteAsync()
    {
        try
        {
            byte[] batch = new byte[BatchBytes];
            ChannelReader<ByteString> queue = _outgoing.Reader;
            while (await queue.WaitToReadAsync().ConfigureAwait(false))
            {
                int length = 0;
                while (queue.TryPeek(out ByteString? payload) && (length == 0 || length + PrefixBytes + payload.Length <= BatchBytes))
                {
                    queue.TryRead(out _);
                    if (PrefixBytes + payload.Length > batch.Length)
                        batch = new byte[PrefixBytes + payload.Length];
                    BinaryPrimitives.WriteUInt32LittleEndian(batch.AsSpan(length), (uint)payload.Length);
                    payload.Span.CopyTo(batch.AsSpan(length + PrefixBytes));
                    length += PrefixBytes + payload.Length;
                }

                await _stream.WriteAsync(batch.AsMemory(0, length)).ConfigureAwait(false);
                if (batch.Length > BatchBytes)
                    batch = new byte[BatchBytes];
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // The peer has gone; the reading side tells Akka.Remote.
        }

        Close();
    }

    private async Task ReadAsync()
    {
        IHandleEventListener? listener = null;
        try
        {
            listener = await ReadHandlerSource.Task.ConfigureAwait(false);
            byte[] prefix = new byte[PrefixBytes];
            while (await _stream.ReadAtLeastAsync(prefix, PrefixBytes, throwOnEndOfStream: false).ConfigureAwait(false) == PrefixBytes)
            {
                uint length = BinaryPrimitives.ReadUInt32LittleEndian(prefix);
                if (length > _mostFrameBytes)
                    break; // no node sends that
                byte[] payload = new byte[length];
                await _stream.ReadExactlyAsync(payload).ConfigureAwait(false);
                listener.Notify(new InboundPayload(UnsafeByteOperations.UnsafeWrap(payload)));
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            // The connection is over.
        }
        finally
        {
            Close();
            listener?.Notify(new Disassociated(DisassociateInfo.Unknown));
        }
    }

    private void Close()
    {
        _outgoing.Writer.TryComplete();
        if (_closed.TrySetResult())
            _stream.Dispose();
    }
}
