namespace Llama3Cluster.Kernels.Devices;

/// <summary>Checks of the operations' arguments, for devices whose kernels would otherwise leave the tensors' memory.</summary>
internal static class OperationChecks
{
    public static void Embed(WeightMatrix table, ReadOnlySpan<int> tokens, DeviceTensor output)
    {
        Rows(output, tokens.Length);
        Columns(output, table.Columns);
        foreach (int token in tokens)
        {
            if ((uint)token >= (uint)table.Rows)
                throw new ArgumentOutOfRangeException(nameof(tokens), token, $"the table has tokens 0 to {table.Rows - 1}");
        }
    }

    public static void RmsNorm(DeviceTensor input, DeviceTensor gain, int rows, DeviceTensor output)
    {
        Rows(input, rows);
        Rows(output, rows);
        Columns(gain, input.Columns);
        Columns(output, input.Columns);
    }

    public static void Linear(WeightMatrix weights, DeviceTensor input, int rows, DeviceTensor output)
    {
        Rows(input, rows);
        Rows(output, rows);
        Columns(input, weights.Columns);
        Columns(output, weights.Rows);
    }

    public static void RopeAngles(DeviceTensor frequencies, int rows, DeviceTensor angles)
    {
        Rows(frequencies, 2);
        Rows(angles, rows);
        Columns(angles, 2 * frequencies.Columns);
    }

    public static void RopeAndAppendKv(
        DeviceTensor query, DeviceTensor key, DeviceTensor value, DeviceTensor angles, KvShape shape, int layer, RaggedBatch batch)
    {
        Rows(query, batch.RowCount);
        Rows(key, batch.RowCount);
        Rows(value, batch.RowCount);
        Rows(angles, batch.RowCount);
        Heads(query, shape);
        Columns(key, shape.KvHeads * shape.HeadDim);
        Columns(value, shape.KvHeads * shape.HeadDim);
        Columns(angles, shape.HeadDim);
        Cache(shape, layer, batch);
    }

    public static void PagedAttention(DeviceTensor query, KvShape shape, int layer, RaggedBatch batch, DeviceTensor output)
    {
        Rows(query, batch.RowCount);
        Rows(output, batch.RowCount);
        Heads(query, shape);
        Columns(output, query.Columns);
        Cache(shape, layer, batch);
    }

    public static void Elementwise(DeviceTensor first, DeviceTensor second, int rows, DeviceTensor output)
    {
        Rows(first, rows);
        Rows(second, rows);
        Rows(output, rows);
        Columns(second, first.Columns);
        Columns(output, first.Columns);
    }

    public static void SelectLogitRows(DeviceTensor input, RaggedBatch batch, DeviceTensor output)
    {
        Rows(input, batch.RowCount);
        Rows(output, batch.LogitRowCount);
        Columns(output, input.Columns);
    }

    public static void ArgMax(DeviceTensor logits, int rows, Span<int> indices)
    {
        Rows(logits, rows);
        if (indices.Length < rows)
            throw new ArgumentException($"{indices.Length} indices cannot hold {rows} rows' results", nameof(indices));
    }

    public static void TopCandidates(DeviceTensor logits, int rows, int count, Span<Candidate> best)
    {
        Rows(logits, rows);
        if (count < 1 || count > Math.Min(Candidate.Most, logits.Columns))
            throw new ArgumentOutOfRangeException(nameof(count), count, $"of rows of {logits.Columns} elements 1 to {Math.Min(Candidate.Most, logits.Columns)} can be asked for");
        if (best.Length < (long)rows * count)
            throw new ArgumentException($"{best.Length} places cannot hold {count} elements of each of {rows} rows", nameof(best));
    }

    private static void Rows(DeviceTensor tensor, int rows)
    {
        if ((uint)rows > (uint)tensor.Rows)
            throw new ArgumentException($"{rows} rows do not fit a [{tensor.Rows}, {tensor.Columns}] tensor");
    }

    private static void Columns(DeviceTensor tensor, int columns)
    {
        if (tensor.Columns != columns)
            throw new ArgumentException($"the operation takes {columns} columns, not a [{tensor.Rows}, {tensor.Columns}] tensor");
    }

    private static void Heads(DeviceTensor query, KvShape shape)
    {
        if (query.Columns % (shape.KvHeads * shape.HeadDim) != 0)
            throw new ArgumentException($"{query.Columns} query columns are not whole groups of {shape.KvHeads} heads of {shape.HeadDim}");
    }

    private static void Cache(KvShape shape, int layer, RaggedBatch batch)
    {
        if ((uint)layer >= (uint)shape.Layers)
            throw new ArgumentOutOfRangeException(nameof(layer), layer, $"the cache has layers 0 to {shape.Layers - 1}");
        foreach (int block in batch.Blocks.AsSpan(0, batch.BlockCount))
        {
            if ((uint)block >= (uint)shape.Blocks)
                throw new ArgumentException($"block {block} is not in the cache, which has blocks 0 to {shape.Blocks - 1}", nameof(batch));
        }
    }
}
