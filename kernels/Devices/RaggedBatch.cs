namespace Llama3Cluster.Kernels.Devices;

/// <summary>The rows of one sequence in a batch: consecutive rows at consecutive positions.</summary>
/// <param name="FirstRow">Index of the sequence's first row in the batch.</param>
/// <param name="RowCount">How many rows it has.</param>
/// <param name="FirstPosition">Position of its first row in the sequence; everything before it is in the KV cache.</param>
/// <param name="BlockOffset">Where its block table starts in <see cref="RaggedBatch.Blocks"/>.</param>
/// <param name="BlockCount">Length of its block table.</param>
public readonly record struct BatchSequence(int FirstRow, int RowCount, int FirstPosition, int BlockOffset, int BlockCount);

/// <summary>
/// The tokens that go through a slice together: rows of several sequences, each any number of rows long, with the KV block
/// tables they need. All arrays are allocated once for the largest batch and refilled for every step.
/// </summary>
public sealed class RaggedBatch
{
    /// <summary>Creates an empty batch with the given capacities.</summary>
    /// <param name="maxRows">Most rows of one batch.</param>
    /// <param name="maxSequences">Most sequences of one batch.</param>
    /// <param name="maxBlocks">Most block-table entries of one batch, over all its sequences.</param>
    public RaggedBatch(int maxRows, int maxSequences, int maxBlocks)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxRows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxSequences);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxBlocks);
        Tokens = new int[maxRows];
        Positions = new int[maxRows];
        RowSequences = new int[maxRows];
        LogitRows = new int[maxRows];
        Sequences = new BatchSequence[maxSequences];
        Blocks = new int[maxBlocks];
    }

    /// <summary>Rows in use.</summary>
    public int RowCount { get; private set; }

    /// <summary>Sequences in use.</summary>
    public int SequenceCount { get; private set; }

    /// <summary>Block-table entries in use.</summary>
    public int BlockCount { get; private set; }

    /// <summary>Rows whose logits are wanted.</summary>
    public int LogitRowCount { get; private set; }

    /// <summary>Token id of each row.</summary>
    public int[] Tokens { get; }

    /// <summary>Position of each row in its sequence.</summary>
    public int[] Positions { get; }

    /// <summary>Index into <see cref="Sequences"/> of each row.</summary>
    public int[] RowSequences { get; }

    /// <summary>The sequences, in row order.</summary>
    public BatchSequence[] Sequences { get; }

    /// <summary>The block tables, one after the other: entry i of a table is the block of positions [16 i, 16 i + 16).</summary>
    public int[] Blocks { get; }

    /// <summary>Rows whose logits are wanted, ascending.</summary>
    public int[] LogitRows { get; }

    /// <summary>Empties the batch.</summary>
    public void Clear() => RowCount = SequenceCount = BlockCount = LogitRowCount = 0;

    /// <summary>Appends one sequence's rows.</summary>
    /// <param name="firstPosition">Position of the first token.</param>
    /// <param name="tokens">The tokens, one a row.</param>
    /// <param name="blockTable">Blocks for every position up to the last token's.</param>
    /// <returns>The index of the sequence's first row.</returns>
    /// <exception cref="ArgumentException">The batch has no room, or the table is too short for the last position.</exception>
    public int Add(int firstPosition, ReadOnlySpan<int> tokens, ReadOnlySpan<int> blockTable)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstPosition);
        if (tokens.IsEmpty)
            throw new ArgumentException("a sequence takes part in a batch with at least one row", nameof(tokens));
        if (RowCount + tokens.Length > Tokens.Length)
            throw new ArgumentException($"{RowCount} + {tokens.Length} rows exceed the batch's {Tokens.Length}", nameof(tokens));
        if (SequenceCount == Sequences.Length)
            throw new ArgumentException($"the batch already has its {Sequences.Length} sequences", nameof(tokens));
        if (BlockCount + blockTable.Length > Blocks.Length)
            throw new ArgumentException($"{BlockCount} + {blockTable.Length} blocks exceed the batch's {Blocks.Length}", nameof(blockTable));
        if ((long)blockTable.Length * KvShape.BlockSize < (long)firstPosition + tokens.Length)
            throw new ArgumentException($"{blockTable.Length} blocks cannot hold {firstPosition + (long)tokens.Length} positions", nameof(blockTable));

        int firstRow = RowCount;
        tokens.CopyTo(Tokens.AsSpan(firstRow));
        for (int i = 0; i < tokens.Length; i++)
        {
            Positions[firstRow + i] = firstPosition + i;
            RowSequences[firstRow + i] = SequenceCount;
        }

        blockTable.CopyTo(Blocks.AsSpan(BlockCount));
        Sequences[SequenceCount++] = new BatchSequence(firstRow, tokens.Length, firstPosition, BlockCount, blockTable.Length);
        BlockCount += blockTable.Length;
        RowCount += tokens.Length;
        return firstRow;
    }

    /// <summary>Asks for the logits of a row. Rows are asked for in ascending order.</summary>
    public void WantLogits(int row)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(row, RowCount);
        if (LogitRowCount > 0 && LogitRows[LogitRowCount - 1] >= row)
            throw new ArgumentException($"row {row} does not follow row {LogitRows[LogitRowCount - 1]}", nameof(row));
        LogitRows[LogitRowCount++] = row;
    }
}
