using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Host;

namespace Llama3Cluster.Kernels.Reference;

/// <summary>
/// The specification of every operation: one thread, scalar loops, sums in double precision. Slow on purpose; the other
/// devices are tested against it.
/// </summary>
public sealed unsafe class ReferenceDevice : ComputeDevice
{
    /// <inheritdoc/>
    public override string Name => "reference (scalar, double precision)";

    /// <inheritdoc/>
    public override long MemoryBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <inheritdoc/>
    public override WeightMatrix LoadMatrix(TensorData data, WeightUse use = WeightUse.LookupAndProduct) => new HostMatrix(data);

    /// <inheritdoc/>
    public override DeviceTensor LoadVector(TensorData data)
    {
        var vector = new HostTensor(1, data.Columns);
        BlockCodec.Dequantize(data.Format, data.Row(0), vector.Row(0));
        return vector;
    }

    /// <inheritdoc/>
    public override DeviceTensor Allocate(int rows, int columns) => new HostTensor(rows, columns);

    /// <inheritdoc/>
    public override KvCache AllocateKv(KvShape shape) => new HostKvCache(shape);

    /// <inheritdoc/>
    public override DeviceBatch AllocateBatch(int maxRows, int maxSequences, int maxBlocks) => new HostBatch();

    /// <inheritdoc/>
    public override void Embed(WeightMatrix table, DeviceBatch batch, DeviceTensor output)
    {
        RaggedBatch rows = ((HostBatch)batch).Batch;
        TensorData data = ((HostMatrix)table).Data;
        for (int r = 0; r < rows.RowCount; r++)
            BlockCodec.Dequantize(data.Format, data.Row(rows.Tokens[r]), Row(output, r));
    }

    /// <inheritdoc/>
    public override void RmsNorm(DeviceTensor input, DeviceTensor gain, float epsilon, int rows, DeviceTensor output)
    {
        Span<float> weights = Row(gain, 0);
        for (int r = 0; r < rows; r++)
        {
            Span<float> x = Row(input, r), y = Row(output, r);
            double squares = 0;
            foreach (float v in x)
                squares += (double)v * v;
            double scale = 1 / Math.Sqrt((squares / x.Length) + epsilon);
            for (int i = 0; i < x.Length; i++)
                y[i] = (float)(x[i] * scale * weights[i]);
        }
    }

    /// <inheritdoc/>
    public override void Linear(WeightMatrix weights, DeviceTensor input, int rows, DeviceTensor output)
    {
        TensorData data = ((HostMatrix)weights).Data;
        var w = new float[data.Columns];
        for (int o = 0; o < data.Rows; o++)
        {
            BlockCodec.Dequantize(data.Format, data.Row(o), w);
            for (int r = 0; r < rows; r++)
            {
                Span<float> x = Row(input, r);
                double sum = 0;
                for (int i = 0; i < w.Length; i++)
                    sum += (double)w[i] * x[i];
                Row(output, r)[o] = (float)sum;
            }
        }
    }

    /// <inheritdoc/>
    public override void RopeAngles(DeviceTensor frequencies, DeviceBatch batch, DeviceTensor angles)
    {
        RaggedBatch rows = ((HostBatch)batch).Batch;
        Span<float> leading = Row(frequencies, 0), rest = Row(frequencies, 1);
        for (int r = 0; r < rows.RowCount; r++)
        {
            Span<float> row = Row(angles, r);
            for (int j = 0; j < leading.Length; j++)
            {
                (double sin, double cos) = Math.SinCos(rows.Positions[r] * ((double)leading[j] + rest[j]));
                row[j] = (float)cos;
                row[leading.Length + j] = (float)sin;
            }
        }
    }

    /// <inheritdoc/>
    public override void RopeAndAppendKv(
        DeviceTensor query, DeviceTensor key, DeviceTensor value, DeviceTensor angles, RopePairing pairing,
        KvCache cache, int layer, DeviceBatch batch)
    {
        RaggedBatch rows = ((HostBatch)batch).Batch;
        var kv = (HostKvCache)cache;
        int headDim = cache.Shape.HeadDim;
        for (int r = 0; r < rows.RowCount; r++)
        {
            Span<float> angle = Row(angles, r);
            Rotate(Row(query, r), angle, headDim, pairing);
            Rotate(Row(key, r), angle, headDim, pairing);

            int position = rows.Positions[r];
            int block = BlockOf(rows, rows.Sequences[rows.RowSequences[r]], position);
            for (int head = 0; head < cache.Shape.KvHeads; head++)
            {
                Span<float> k = Row(key, r).Slice(head * headDim, headDim), v = Row(value, r).Slice(head * headDim, headDim);
                ReferenceKv.Store(k, kv.Keys(layer, block, head), position % KvShape.BlockSize, cache.Shape.Format);
                ReferenceKv.Store(v, kv.Values(layer, block, head), position % KvShape.BlockSize, cache.Shape.Format);
            }
        }
    }

    /// <inheritdoc/>
    public override void PagedAttention(DeviceTensor query, KvCache cache, int layer, DeviceBatch batch, DeviceTensor output)
    {
        RaggedBatch rows = ((HostBatch)batch).Batch;
        var kv = (HostKvCache)cache;
        KvShape shape = cache.Shape;
        int heads = query.Columns / shape.HeadDim, group = heads / shape.KvHeads;
        for (int r = 0; r < rows.RowCount; r++)
        {
            BatchSequence sequence = rows.Sequences[rows.RowSequences[r]];
            for (int h = 0; h < heads; h++)
            {
                AttendOne(
                    Row(query, r).Slice(h * shape.HeadDim, shape.HeadDim), kv, layer, h / group, rows, sequence, rows.Positions[r],
                    Row(output, r).Slice(h * shape.HeadDim, shape.HeadDim));
            }
        }
    }

    /// <inheritdoc/>
    public override void SwiGlu(DeviceTensor gate, DeviceTensor up, int rows, DeviceTensor output)
    {
        for (int r = 0; r < rows; r++)
        {
            Span<float> g = Row(gate, r), u = Row(up, r), y = Row(output, r);
            for (int i = 0; i < g.Length; i++)
                y[i] = (float)(g[i] / (1 + Math.Exp(-g[i])) * u[i]);
        }
    }

    /// <inheritdoc/>
    public override void Add(DeviceTensor accumulator, DeviceTensor addend, int rows)
    {
        for (int r = 0; r < rows; r++)
        {
            Span<float> a = Row(accumulator, r), b = Row(addend, r);
            for (int i = 0; i < a.Length; i++)
                a[i] += b[i];
        }
    }

    /// <inheritdoc/>
    public override void SelectLogitRows(DeviceTensor input, DeviceBatch batch, DeviceTensor output)
    {
        RaggedBatch rows = ((HostBatch)batch).Batch;
        for (int i = 0; i < rows.LogitRowCount; i++)
            Row(input, rows.LogitRows[i]).CopyTo(Row(output, i));
    }

    /// <inheritdoc/>
    public override void ArgMax(DeviceTensor logits, int rows, Span<int> indices)
    {
        for (int r = 0; r < rows; r++)
        {
            Span<float> row = Row(logits, r);
            int best = 0;
            for (int i = 1; i < row.Length; i++)
            {
                if (row[i] > row[best])
                    best = i;
            }

            indices[r] = best;
        }
    }

    private static Span<float> Row(DeviceTensor tensor, int row) => ((HostTensor)tensor).Row(row);

    private static int BlockOf(RaggedBatch batch, BatchSequence sequence, int position) =>
        batch.Blocks[sequence.BlockOffset + (position / KvShape.BlockSize)];

    private static void Rotate(Span<float> heads, ReadOnlySpan<float> angles, int headDim, RopePairing pairing)
    {
        int half = headDim / 2;
        for (int first = 0; first < heads.Length; first += headDim)
        {
            for (int j = 0; j < half; j++)
            {
                int a = first + (pairing == RopePairing.Halves ? j : 2 * j);
                int b = pairing == RopePairing.Halves ? a + half : a + 1;
                (double cos, double sin) = (angles[j], angles[half + j]);
                (heads[a], heads[b]) = ((float)((heads[a] * cos) - (heads[b] * sin)), (float)((heads[a] * sin) + (heads[b] * cos)));
            }
        }
    }

    private static void AttendOne(
        ReadOnlySpan<float> query, HostKvCache kv, int layer, int kvHead, RaggedBatch batch, BatchSequence sequence, int position,
        Span<float> output)
    {
        int headDim = kv.Shape.HeadDim;
        var scores = new double[position + 1];
        double max = double.NegativeInfinity;
        for (int p = 0; p <= position; p++)
        {
            byte* keys = kv.Keys(layer, BlockOf(batch, sequence, p), kvHead);
            double dot = 0;
            for (int i = 0; i < headDim; i++)
                dot += (double)query[i] * ReferenceKv.Fetch(keys, (p % KvShape.BlockSize * headDim) + i, kv.Shape.Format);
            scores[p] = dot / Math.Sqrt(headDim);
            max = Math.Max(max, scores[p]);
        }

        double total = 0;
        var sums = new double[headDim];
        for (int p = 0; p <= position; p++)
        {
            byte* values = kv.Values(layer, BlockOf(batch, sequence, p), kvHead);
            double weight = Math.Exp(scores[p] - max);
            total += weight;
            for (int i = 0; i < headDim; i++)
                sums[i] += weight * ReferenceKv.Fetch(values, (p % KvShape.BlockSize * headDim) + i, kv.Shape.Format);
        }

        for (int i = 0; i < headDim; i++)
            output[i] = (float)(sums[i] / total);
    }
}
