using System.Runtime.InteropServices;
using ILGPU;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu.Kernels;

namespace Llama3Cluster.Kernels.Gpu.Memory;

/// <summary>
/// A batch in device memory. Each of its tables has a place of its own, the same for every step; one copy brings them, a second the block
/// tables as far as they are in use.
/// </summary>
internal sealed class GpuBatch : DeviceBatch
{
    private const int NumbersPerSequence = 5;

    // Token, position, sequence, logit row; first row and rows of a tile.
    private const int TablesPerRow = 6;

    private readonly GpuQueue _queue;
    private readonly GpuBuffer _buffer;
    private readonly int _maxRows;
    private readonly int _maxSequences;
    private readonly int _maxBlocks;
    private readonly int[] _tiles;
    private RaggedBatch? _batch;
    private int _tileRows;

    /// <summary>Allocates room.</summary>
    public GpuBatch(GpuQueue queue, int maxRows, int maxSequences, int maxBlocks)
    {
        _queue = queue;
        (_maxRows, _maxSequences, _maxBlocks) = (maxRows, maxSequences, maxBlocks);
        _tiles = new int[2 * maxRows];
        _buffer = new GpuBuffer(queue, BytesOf(maxRows, maxSequences, maxBlocks), $"the tables of batches of {maxRows} rows");
    }

    /// <summary>Bytes of a batch's tables.</summary>
    public static long BytesOf(int maxRows, int maxSequences, int maxBlocks) =>
        checked(((long)TablesPerRow * maxRows) + ((long)NumbersPerSequence * maxSequences) + maxBlocks) * sizeof(int);

    /// <summary>The loaded batch on the host.</summary>
    /// <exception cref="InvalidOperationException">Nothing has been loaded.</exception>
    public RaggedBatch Batch => _batch ?? throw new InvalidOperationException("no batch has been loaded");

    /// <inheritdoc/>
    public override int RowCount => Batch.RowCount;

    /// <inheritdoc/>
    public override int LogitRowCount => Batch.LogitRowCount;

    /// <summary>The tokens.</summary>
    public ArrayView<int> Tokens => View(0, _maxRows);

    /// <summary>The rows whose logits are wanted.</summary>
    public ArrayView<int> LogitRows => View(LogitRowsAt, _maxRows);

    /// <summary>Attention's tiles.</summary>
    public ArrayView<int> Tiles => View(TilesAt, 2 * _maxRows);

    /// <summary>Tiles of the last <see cref="CutTiles"/>.</summary>
    public int TileCount { get; private set; }

    /// <summary>The longest context of the batch's rows.</summary>
    public int LongestContext { get; private set; }

    /// <summary>What attention and the cache need of it.</summary>
    public BatchView View() => new()
    {
        Positions = View(_maxRows, _maxRows),
        RowSequences = View(2 * _maxRows, _maxRows),
        Sequences = View(SequencesAt, NumbersPerSequence * _maxSequences),
        Blocks = View(BlocksAt, _maxBlocks),
    };

    /// <summary>The same as <see cref="View()"/> and <see cref="Tiles"/>, by address.</summary>
    public (ulong Positions, ulong RowSequences, ulong Sequences, ulong Blocks, ulong Tiles) Addresses()
    {
        ulong start = _buffer.Address;
        ulong At(int first) => start + ((ulong)(uint)first * sizeof(int));
        return (At(_maxRows), At(2 * _maxRows), At(SequencesAt), At(BlocksAt), At(TilesAt));
    }

    /// <inheritdoc/>
    public override void Load(RaggedBatch batch)
    {
        if (batch.RowCount > _maxRows || batch.SequenceCount > _maxSequences || batch.BlockCount > _maxBlocks)
            throw new ArgumentException($"a batch of {batch.RowCount} rows, {batch.SequenceCount} sequences and {batch.BlockCount} blocks exceeds {_maxRows}, {_maxSequences} and {_maxBlocks}", nameof(batch));
        _batch = batch;
        LongestContext = 0;
        foreach (int position in batch.Positions.AsSpan(0, batch.RowCount))
            LongestContext = Math.Max(LongestContext, position + 1);
        FindTiles();

        Span<int> tables = MemoryMarshal.Cast<byte, int>(_queue.Stage(BlocksAt * sizeof(int), _buffer, 0));
        batch.Tokens.AsSpan(0, batch.RowCount).CopyTo(tables);
        batch.Positions.AsSpan(0, batch.RowCount).CopyTo(tables[_maxRows..]);
        batch.RowSequences.AsSpan(0, batch.RowCount).CopyTo(tables[(2 * _maxRows)..]);
        batch.LogitRows.AsSpan(0, batch.LogitRowCount).CopyTo(tables[LogitRowsAt..]);
        _tiles.AsSpan(0, 2 * TileCount).CopyTo(tables[TilesAt..]);
        MemoryMarshal.Cast<BatchSequence, int>(batch.Sequences.AsSpan(0, batch.SequenceCount)).CopyTo(tables[SequencesAt..]);
        _queue.Commit(BlocksAt * sizeof(int), _buffer, 0);
        _queue.Upload<int>(batch.Blocks.AsSpan(0, batch.BlockCount), _buffer, (long)BlocksAt * sizeof(int));
    }

    /// <summary>Cuts the rows into attention's tiles of at most so many rows of one sequence. Steps of one model all have the same height.</summary>
    public void CutTiles(int rows)
    {
        // Of sequences with a row each, tiles of every height are the rows. So recorded decode steps need no new table.
        bool single = _tileRows != 0 && Batch.SequenceCount == Batch.RowCount;
        if (rows == _tileRows || single)
            return;
        _tileRows = rows;
        FindTiles();
        _queue.Upload<int>(_tiles.AsSpan(0, 2 * TileCount), _buffer, (long)TilesAt * sizeof(int));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _buffer.Dispose();
    }

    private int LogitRowsAt => 3 * _maxRows;

    private int TilesAt => 4 * _maxRows;

    private int SequencesAt => TablesPerRow * _maxRows;

    private int BlocksAt => SequencesAt + (NumbersPerSequence * _maxSequences);

    private ArrayView<int> View(int first, int count) => _buffer.View<int>(sizeof(int) * (long)first, count);

    private void FindTiles()
    {
        TileCount = 0;
        if (_tileRows == 0)
            return;
        foreach (BatchSequence sequence in Batch.Sequences.AsSpan(0, Batch.SequenceCount))
        {
            for (int done = 0; done < sequence.RowCount; done += _tileRows)
            {
                _tiles[2 * TileCount] = sequence.FirstRow + done;
                _tiles[(2 * TileCount) + 1] = Math.Min(_tileRows, sequence.RowCount - done);
                TileCount++;
            }
        }
    }
}
