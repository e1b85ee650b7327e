using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Kernels.Gpu.Cuda;
using Llama3Cluster.Kernels.Gpu.Cuda.Attention;
using Llama3Cluster.Kernels.Gpu.Launch;
using Llama3Cluster.Kernels.Tests.Gpu.Ptx.Emulation;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Gpu.Ptx;

/// <summary>The tensor-core attention's PTX, run on the host over a paged cache whose unused places hold NaNs.</summary>
public class EmulatedAttentionTests
{
    private const int KvHeads = 2;

    [Theory]
    [InlineData(KvFormat.F16, 64, 4)]
    [InlineData(KvFormat.F16, 128, 3)]
    [InlineData(KvFormat.BF16, 64, 1)]
    [InlineData(KvFormat.BF16, 128, 8)]
    public void Attention_must_match_softmax_over_the_cached_positions(KvFormat format, int headDim, int group)
    {
        // Positions before, and of the step's rows: the first of a sequence, inside and at the border of a span, several spans.
        foreach ((int before, int rows) in new[] { (0, 1), (0, 5), (63, 1), (64, 3), (150, 7) })
        {
            var run = new Run(format, headDim, group, before, rows);
            float[] merged = run.Attend(split: true), whole = run.Attend(split: false);
            Assert.Equal(whole.Bits(), merged.Bits());
            Check(run, whole);
        }
    }

    [Fact]
    public void A_row_must_have_the_same_bits_alone_and_among_others()
    {
        const int Before = 60, Rows = 9, Group = 4, HeadDim = 128;
        float[] together = new Run(KvFormat.F16, HeadDim, Group, Before, Rows).Attend(split: false);
        float[] last = new Run(KvFormat.F16, HeadDim, Group, Before + Rows - 1, 1).Attend(split: true);
        Assert.Equal(together[^last.Length..].Bits(), last.Bits());
    }

    private static void Check(Run run, float[] actual)
    {
        double tolerance = Accuracy.OfRoundedAttention(run.Format);
        float[] expected = run.Reference();
        for (int i = 0; i < expected.Length; i++)
            Assert.InRange(actual[i], expected[i] - tolerance, expected[i] + tolerance);
    }

    private sealed class Run
    {
        private readonly int _headDim, _group, _before, _rows;
        private readonly PtxMemory _memory = new();
        private readonly CudaAttentionArgs _args;
        private readonly float[] _queries, _keys, _values;
        private readonly ulong _output;

        public Run(KvFormat format, int headDim, int group, int before, int rows)
        {
            (Format, _headDim, _group, _before, _rows) = (format, headDim, group, before, rows);
            int positions = before + rows, blocks = (positions + 15) / 16, columns = KvHeads * headDim;
            int rowsPerTile = AttentionWork.Queries / group;
            _queries = Rowwise(before, rows, columns * group, salt: 1);
            _keys = Rowwise(0, positions, columns, salt: 2);
            _values = Rowwise(0, positions, columns, salt: 3);

            // Blocks in reverse, behind one that is someone else's.
            int[] table = [.. Enumerable.Range(1, blocks).Reverse()];
            int[] tiles = [.. Enumerable.Range(0, (rows + rowsPerTile - 1) / rowsPerTile)
                .SelectMany(tile => new[] { tile * rowsPerTile, Math.Min(rowsPerTile, rows - (tile * rowsPerTile)) })];
            int spans = (positions + AttentionWork.SpanLength - 1) / AttentionWork.SpanLength;
            _output = _memory.Allocate(_queries.Length * sizeof(float));
            _args = new CudaAttentionArgs
            {
                Positions = _memory.Copy<int>([.. Enumerable.Range(before, rows)]),
                RowSequences = _memory.Copy<int>(new int[rows]),
                Sequences = _memory.Copy<int>([0, rows, before, 0, blocks]),
                Blocks = _memory.Copy<int>(table),
                Tiles = _memory.Copy<int>(tiles),
                Query = _memory.Copy<float>(_queries),
                Keys = _memory.Copy<ushort>(Cache(_keys, table, key: true)),
                Values = _memory.Copy<ushort>(Cache(_values, table, key: false)),
                Output = _output,
                Partials = _memory.Allocate((long)rows * KvHeads * group * spans * (headDim + 4) * sizeof(float)),
                QueryStride = columns * group,
                OutputStride = columns * group,
                Heads = KvHeads * group,
                KvHeads = KvHeads,
                TileCount = tiles.Length / 2,
                Spans = spans,
                Scale = MathF.Log2(MathF.E) / MathF.Sqrt(headDim),
            };
        }

        public KvFormat Format { get; }

        public float[] Attend(bool split)
        {
            CudaAttentionArgs args = _args with { Split = split ? 1 : 0 };
            int warps = args.TileCount * KvHeads * (split ? args.Spans : 1);
            Launch(CudaKernels.Attention(Format, _headDim), ((warps + 3) / 4, 1, 1), args);
            if (split)
                Launch(CudaKernels.Merge(_headDim), (args.Heads, _rows, 1), args);
            return _memory.Read<float>(_output, _queries.Length);
        }

        public float[] Reference()
        {
            var output = new float[_queries.Length];
            int heads = KvHeads * _group;
            for (int row = 0; row < _rows; row++)
            {
                for (int head = 0; head < heads; head++)
                    AttendOne(row, head, output.AsSpan(((row * heads) + head) * _headDim, _headDim));
            }

            return output;
        }

        private void AttendOne(int row, int head, Span<float> output)
        {
            int limit = _before + row + 1, kvHead = head / _group;
            ReadOnlySpan<float> query = _queries.AsSpan(((row * KvHeads * _group) + head) * _headDim, _headDim);
            var weights = new double[limit];
            for (int position = 0; position < limit; position++)
            {
                for (int i = 0; i < _headDim; i++)
                    weights[position] += (double)query[i] * _keys[(((position * KvHeads) + kvHead) * _headDim) + i];
            }

            double largest = weights.Max(), total = 0;
            for (int position = 0; position < limit; position++)
                total += weights[position] = Math.Exp((weights[position] - largest) / Math.Sqrt(_headDim));
            for (int i = 0; i < _headDim; i++)
            {
                double sum = 0;
                for (int position = 0; position < limit; position++)
                    sum += weights[position] * _values[(((position * KvHeads) + kvHead) * _headDim) + i];
                output[i] = (float)(sum / total);
            }
        }

        // Numbers that depend on the position alone, so that any cut of a sequence sees the same ones.
        private static float[] Rowwise(int first, int rows, int columns, int salt) =>
            [.. Enumerable.Range(first, rows).SelectMany(position => Values.Uniform(columns, (salt * 10_000) + position))];

        // Keys [block][head][chunk][position], values [block][head][position][chunk]; NaNs where nothing was stored.
        private ushort[] Cache(float[] vectors, int[] table, bool key)
        {
            var cache = new ushort[(table.Max() + 1) * KvHeads * 16 * _headDim];
            Array.Fill(cache, (ushort)0xFFFF);
            for (int i = 0; i < vectors.Length; i++)
            {
                int position = i / (KvHeads * _headDim), head = i / _headDim % KvHeads, element = i % _headDim, slot = position % 16;
                int at = key ? (((element / 8 * 16) + slot) * 8) + (element % 8) : (slot * _headDim) + element;
                cache[(((table[position / 16] * KvHeads) + head) * 16 * _headDim) + at] =
                    Format == KvFormat.BF16 ? Bf16.FromSingle(vectors[i]) : BitConverter.HalfToUInt16Bits((Half)vectors[i]);
            }

            return cache;
        }

        private void Launch(KernelEntry<CudaAttentionArgs> entry, (int X, int Y, int Z) grid, CudaAttentionArgs args) =>
            EmulatedKernels.Launch(_memory, entry, grid, args);
    }
}
