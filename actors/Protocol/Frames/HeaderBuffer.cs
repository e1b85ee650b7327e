using System.Buffers;
using System.Buffers.Binary;

namespace Llama3Cluster.Actors.Protocol;

/// <summary>Where a link writes its headers, each behind the two lengths that every frame starts with. Grows and stays.</summary>
internal sealed class HeaderBuffer : IBufferWriter<byte>
{
    /// <summary>Bytes before the header: its length and the payload's, both u32 little-endian.</summary>
    public const int PrefixBytes = 8;

    private byte[] _bytes = new byte[1024];
    private int _end = PrefixBytes;

    /// <summary>The header, without the lengths.</summary>
    public ReadOnlyMemory<byte> Header => _bytes.AsMemory(PrefixBytes, _end - PrefixBytes);

    /// <summary>Starts a header.</summary>
    public void Clear() => _end = PrefixBytes;

    /// <summary>Puts the lengths in front; what is returned goes on the wire, and the payload after it.</summary>
    public ArraySegment<byte> Complete(int payloadLength)
    {
        int headerLength = _end - PrefixBytes;
        if (headerLength > FrameLimits.LargestHeader)
        {
            throw new ProtocolException(
                $"a header of {headerLength} bytes is more than the {FrameLimits.LargestHeader} that a link carries: make the steps smaller");
        }

        BinaryPrimitives.WriteUInt32LittleEndian(_bytes, (uint)headerLength);
        BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan(4), (uint)payloadLength);
        return new ArraySegment<byte>(_bytes, 0, _end);
    }

    public void Advance(int count) => _end += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _bytes.AsMemory(_end);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Reserve(sizeHint);
        return _bytes.AsSpan(_end);
    }

    private void Reserve(int sizeHint)
    {
        int needed = _end + Math.Max(sizeHint, 1);
        if (needed > _bytes.Length)
            Array.Resize(ref _bytes, Math.Max(needed, 2 * _bytes.Length));
    }
}
