using System.Runtime.InteropServices;
using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Shards.Execution.Replay;

/// <summary>
/// The outputs of rows whose keys and values a stage holds, in their wire form, block by block: a replay sends them again instead of
/// computing them. Bounded: a fixed number of buffers of a block each, the longest-unused taken for another block. All memory is
/// reserved once; the system gives pages when they are first written.
/// </summary>
internal sealed unsafe class OutputLog : IDisposable
{
    private const int None = -1;

    private readonly int _rowBytes;
    private readonly int[] _bufferOf;
    private readonly Buffer[] _buffers;
    private byte* _data;
    private int _used;
    private int _oldest = None;
    private int _newest = None;

    /// <summary>Reserves the buffers.</summary>
    /// <param name="blocks">KV blocks of the stage.</param>
    /// <param name="rowBytes">Bytes of one row.</param>
    /// <param name="budget">Most bytes of all buffers.</param>
    public OutputLog(int blocks, int rowBytes, long budget)
    {
        _rowBytes = rowBytes;
        long blockBytes = (long)rowBytes * KvShape.BlockSize;
        _buffers = new Buffer[(int)Math.Min(blocks, Math.Max(budget, 0) / blockBytes)];
        _bufferOf = new int[blocks];
        Array.Fill(_bufferOf, None);
        ByteCount = _buffers.Length * blockBytes;
        _data = ByteCount > 0 ? (byte*)NativeMemory.AlignedAlloc((nuint)ByteCount, 64) : null;
    }

    /// <summary>Frees memory that was never disposed.</summary>
    ~OutputLog() => Free();

    /// <summary>Bytes reserved.</summary>
    public long ByteCount { get; }

    /// <summary>Whether it has the output of a row.</summary>
    public bool Has(int block, int offset) =>
        _bufferOf[block] is var buffer && buffer != None && (_buffers[buffer].Rows & (1 << offset)) != 0;

    /// <summary>Copies the outputs of consecutive rows of a block; it <see cref="Has"/> them all.</summary>
    public void Read(int block, int offset, Span<byte> rows)
    {
        int buffer = _bufferOf[block];
        Touch(buffer);
        RowsOf(buffer, offset, rows.Length).CopyTo(rows);
    }

    /// <summary>Keeps the outputs of consecutive rows of a block.</summary>
    /// <param name="block">The block.</param>
    /// <param name="offset">Its first row that is written.</param>
    /// <param name="rows">The outputs.</param>
    /// <param name="mayEvict">Whether another block's outputs may give way.</param>
    public void Write(int block, int offset, ReadOnlySpan<byte> rows, bool mayEvict)
    {
        int buffer = _bufferOf[block];
        if (buffer == None && !TryTake(block, mayEvict, out buffer))
            return;
        Touch(buffer);
        rows.CopyTo(RowsOf(buffer, offset, rows.Length));
        _buffers[buffer].Rows |= ((1 << (rows.Length / _rowBytes)) - 1) << offset;
    }

    /// <summary>The rows of a block from a number on hold something else now.</summary>
    public void Truncate(int block, int rows)
    {
        if (_bufferOf[block] != None)
            _buffers[_bufferOf[block]].Rows &= (1 << rows) - 1;
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        Array.Fill(_bufferOf, None);
        _used = 0;
        _oldest = _newest = None;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_data);
        _data = null;
    }

    private Span<byte> RowsOf(int buffer, int offset, int bytes)
    {
        ObjectDisposedException.ThrowIf(_data == null, this);
        return new Span<byte>(_data + ((((long)buffer * KvShape.BlockSize) + offset) * _rowBytes), (KvShape.BlockSize - offset) * _rowBytes)[..bytes];
    }

    private bool TryTake(int block, bool mayEvict, out int buffer)
    {
        if (_used < _buffers.Length)
        {
            buffer = _used++;
        }
        else if (mayEvict && _oldest != None)
        {
            buffer = _oldest;
            _bufferOf[_buffers[buffer].Block] = None;
            Unlink(buffer);
        }
        else
        {
            buffer = None;
            return false;
        }

        _bufferOf[block] = buffer;
        _buffers[buffer] = new Buffer { Block = block };
        Append(buffer);
        return true;
    }

    private void Touch(int buffer)
    {
        if (buffer == _newest)
            return;
        Unlink(buffer);
        Append(buffer);
    }

    private void Append(int buffer)
    {
        (_buffers[buffer].Older, _buffers[buffer].Newer) = (_newest, None);
        if (_newest == None)
            _oldest = buffer;
        else
            _buffers[_newest].Newer = buffer;
        _newest = buffer;
    }

    private void Unlink(int buffer)
    {
        (int older, int newer) = (_buffers[buffer].Older, _buffers[buffer].Newer);
        if (older == None)
            _oldest = newer;
        else
            _buffers[older].Newer = newer;
        if (newer == None)
            _newest = older;
        else
            _buffers[newer].Older = older;
    }

    // Rows has a bit for each row that is there. Older and Newer link the buffers in the order of their last use.
    private struct Buffer
    {
        public int Block;
        public int Rows;
        public int Older;
        public int Newer;
    }
}
