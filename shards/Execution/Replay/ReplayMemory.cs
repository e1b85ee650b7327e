using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Execution.Replay;

/// <summary>
/// What a stage holds of rows that it has computed, in whatever epoch: keys and values in its blocks (<see cref="BlockRecords"/>), and
/// the outputs that the next stage needs (<see cref="OutputLog"/>). After a loss the surviving stages so hand on what they have, and
/// only the lost slice computes again.
/// </summary>
internal sealed class ReplayMemory : IDisposable
{
    private readonly BlockRecords _records;
    private readonly OutputLog? _log;
    private readonly ActivationFormat _format;
    private readonly int _rowBytes;

    /// <summary>Creates an empty memory for a slice; one with the head has no log, since its outputs are tokens.</summary>
    public ReplayMemory(ModelSlice slice, ReplayOptions options)
    {
        _records = new BlockRecords(slice.Kv.Blocks);
        _format = options.Format;
        _rowBytes = slice.HiddenSize * options.Format.ElementBytes();
        _log = slice.Range.HasHead ? null : new OutputLog(slice.Kv.Blocks, _rowBytes, options.LogBytes);
    }

    /// <summary>
    /// Takes a run's rows into the records, and says which of them must be computed. Those of a step are taken in their order: what a run
    /// is about to store, the runs behind it may read.
    /// </summary>
    /// <param name="blocks">The sequence's block table.</param>
    /// <param name="firstPosition">Position of the first row.</param>
    /// <param name="tokens">The rows' tokens.</param>
    /// <param name="samples">Whether the logits of the last row are wanted.</param>
    /// <param name="format">The form of the outputs.</param>
    public RowSpan Take(ReadOnlySpan<int> blocks, int firstPosition, ReadOnlySpan<int> tokens, bool samples, ActivationFormat format)
    {
        int held = 0, firstMissing = tokens.Length, lastMissing = -1;
        for (int row = 0; row < tokens.Length;)
        {
            (int block, int offset, int count) = Segment(blocks, firstPosition + row, tokens.Length - row);
            int previous = firstPosition + row < KvShape.BlockSize ? BlockRecords.None : blocks[((firstPosition + row) / KvShape.BlockSize) - 1];
            ReadOnlySpan<int> part = tokens.Slice(row, count);
            int kept = _records.Store(block, previous, offset, part);
            if (held == row)
                held += Math.Clamp(kept - offset, 0, count);
            _log?.Truncate(block, kept);
            for (int i = row; i < row + count; i++)
            {
                if (i < held && IsLogged(block, offset + i - row, format))
                    continue;
                firstMissing = Math.Min(firstMissing, i);
                lastMissing = i;
            }

            row += count;
        }

        if (_log is null)
            return new RowSpan(samples ? Math.Min(held, tokens.Length - 1) : held, tokens.Length, held);
        return new RowSpan(firstMissing, lastMissing < 0 ? firstMissing : lastMissing + 1, held);
    }

    /// <summary>Copies the outputs of a run's rows that were not computed.</summary>
    /// <param name="blocks">The sequence's block table.</param>
    /// <param name="firstPosition">Position of the run's first row.</param>
    /// <param name="span">What <see cref="Take"/> said.</param>
    /// <param name="output">The outputs of all rows of the run.</param>
    public void Read(ReadOnlySpan<int> blocks, int firstPosition, RowSpan span, Span<byte> output)
    {
        int rows = output.Length / _rowBytes;
        for (int row = span.From > 0 ? 0 : span.To; row < rows;)
        {
            (int block, int offset, int count) = Segment(blocks, firstPosition + row, (row < span.From ? span.From : rows) - row);
            _log!.Read(block, offset, output.Slice(row * _rowBytes, count * _rowBytes));
            row += count;
            if (row == span.From)
                row = span.To;
        }
    }

    /// <summary>Keeps the outputs of a run's rows that were computed.</summary>
    /// <param name="blocks">The sequence's block table.</param>
    /// <param name="firstPosition">Position of the run's first row.</param>
    /// <param name="span">What <see cref="Take"/> said.</param>
    /// <param name="output">The outputs of all rows of the run.</param>
    /// <param name="format">Their form.</param>
    public void Write(ReadOnlySpan<int> blocks, int firstPosition, RowSpan span, ReadOnlySpan<byte> output, ActivationFormat format)
    {
        if (_log is null || format != _format)
            return;
        for (int row = span.From; row < span.To;)
        {
            (int block, int offset, int count) = Segment(blocks, firstPosition + row, span.To - row);
            // Rows that are replayed because the log is too small for all must not drive out those that it has.
            if (_records.Knows(block, offset + count - 1))
                _log.Write(block, offset, output.Slice(row * _rowBytes, count * _rowBytes), mayEvict: row + count > span.Held);
            row += count;
        }
    }

    /// <summary>Forgets everything: what the KV blocks hold is not known.</summary>
    public void Clear()
    {
        _records.Clear();
        _log?.Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => _log?.Dispose();

    private bool IsLogged(int block, int offset, ActivationFormat format) => _log is not null && format == _format && _log.Has(block, offset);

    // The rows from a position on that lie in one block.
    private static (int Block, int Offset, int Count) Segment(ReadOnlySpan<int> blocks, int position, int rows)
    {
        int offset = position % KvShape.BlockSize;
        return (blocks[position / KvShape.BlockSize], offset, Math.Min(rows, KvShape.BlockSize - offset));
    }
}
