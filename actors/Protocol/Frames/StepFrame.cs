using System.Numerics;
using Llama3Cluster.Shards.Execution;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>A step on its way through the pipeline, with the activations of its rows.</summary>
public sealed class StepFrame : PooledFrame
{
    private const int SmallestBuffer = 4096;
    private const int Megabyte = 1 << 20;

    private byte[] _buffer = [];

    internal StepFrame(FramePool pool)
        : base(pool)
    {
    }

    /// <summary>The rows.</summary>
    public Step Step { get; } = new();

    /// <summary>How the payload's elements are stored.</summary>
    public ActivationFormat Format { get; set; }

    /// <summary>Bytes of the payload; 0 towards the first stage, which starts from the tokens.</summary>
    public int PayloadLength { get; private set; }

    /// <summary>The activations: a row of the model's width for each row of the step.</summary>
    public ReadOnlySpan<byte> Payload => PayloadSegment;

    /// <summary>The payload as the socket takes it.</summary>
    internal ArraySegment<byte> PayloadSegment
    {
        get
        {
            ThrowIfReleased();
            return new ArraySegment<byte>(_buffer, 0, PayloadLength);
        }
    }

    /// <summary>Bytes that the frame holds, used or not.</summary>
    internal int Capacity => _buffer.Length;

    /// <summary>Makes room for a payload. What it holds is undefined until the caller has written all of it.</summary>
    public Span<byte> PreparePayload(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        ThrowIfReleased();
        if (length > _buffer.Length)
            _buffer = GC.AllocateUninitializedArray<byte>(RoundUp(length), pinned: true); // devices and sockets copy from it in place
        PayloadLength = length;
        return _buffer.AsSpan(0, length);
    }

    /// <summary>Forgets the payload's memory, for a pool that holds enough.</summary>
    internal void DropBuffer() => _buffer = [];

    private protected override void Recycle()
    {
        Step.Clear();
        PayloadLength = 0;
        Pool.Return(this);
    }

    /// <summary>Small buffers double, so that a growing batch settles quickly; large ones waste less than a megabyte.</summary>
    private static int RoundUp(int length) =>
        length <= Megabyte
            ? (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(length, SmallestBuffer))
            : (int)Math.Min(((long)length + Megabyte - 1) / Megabyte * Megabyte, Array.MaxLength);
}
