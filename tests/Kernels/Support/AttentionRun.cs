using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Kernels.Tests.Support;

/// <summary>
/// Steps sequences through the cache and the last layer's attention. Queries, keys and values are a function of the block table's first entry
/// and the position, so that any chunking of a sequence sees the same ones. Angles are zero: keys are stored as they are.
/// </summary>
internal sealed class AttentionRun(ComputeDevice device, KvShape shape, int group) : IDisposable
{
    private readonly KvCache _cache = device.AllocateKv(shape);

    private int KvColumns => shape.KvHeads * shape.HeadDim;

    /// <summary>The values of the last step.</summary>
    public float[] LastValues { get; private set; } = [];

    /// <summary>From this position on, every so many elements of a key and of a value are this number.</summary>
    public (int FirstPosition, float Element, int Stride)? Spoilt { get; set; }

    /// <summary>Appends each sequence's rows and returns all outputs of the last layer, row by row. Sequences without rows are left out.</summary>
    public float[] Step(params (int FirstPosition, int Count, int[] Table)[] sequences)
    {
        sequences = [.. sequences.Where(sequence => sequence.Count > 0)];
        int rows = sequences.Sum(sequence => sequence.Count), blocks = sequences.Sum(sequence => sequence.Table.Length);
        var ragged = new RaggedBatch(rows, sequences.Length, blocks);
        foreach ((int first, int count, int[] table) in sequences)
            ragged.Add(first, new int[count], table);
        float[] keys = Generate(sequences, KvColumns, salt: 2);
        LastValues = Generate(sequences, KvColumns, salt: 3);
        for (int row = 0; row < rows; row++)
        {
            if (Spoilt is { } spoilt && ragged.Positions[row] >= spoilt.FirstPosition)
            {
                for (int i = row * KvColumns; i < (row + 1) * KvColumns; i += spoilt.Stride)
                    keys[i] = LastValues[i] = spoilt.Element;
            }
        }

        return Attend(ragged, Generate(sequences, KvColumns * group, salt: 1), keys, LastValues);
    }

    /// <summary>Fills whole blocks with NaNs.</summary>
    public void Poison(int[] table)
    {
        int rows = table.Length * KvShape.BlockSize;
        var ragged = new RaggedBatch(rows, 1, table.Length);
        ragged.Add(0, new int[rows], table);
        float[] nans = [.. Enumerable.Repeat(float.NaN, rows * KvColumns)];
        Attend(ragged, new float[rows * KvColumns * group], nans, nans);
    }

    public void Dispose() => _cache.Dispose();

    private static float[] Generate((int FirstPosition, int Count, int[] Table)[] sequences, int columns, int salt) =>
        [.. sequences.SelectMany(sequence => Enumerable.Range(sequence.FirstPosition, sequence.Count)
            .SelectMany(position => Values.Uniform(columns, seed: (((salt * 1000) + sequence.Table[0]) * 10_000) + position)))];

    private float[] Attend(RaggedBatch ragged, float[] queries, float[] keys, float[] values)
    {
        int rows = ragged.RowCount;
        using DeviceBatch batch = device.AllocateBatch(rows, ragged.SequenceCount, ragged.BlockCount);
        batch.Load(ragged);
        using DeviceTensor query = device.Tensor(rows, KvColumns * group, queries), output = device.Allocate(rows, KvColumns * group);
        using DeviceTensor key = device.Tensor(rows, KvColumns, keys), value = device.Tensor(rows, KvColumns, values);
        using DeviceTensor frequencies = device.Allocate(2, shape.HeadDim / 2), angles = device.Allocate(rows, shape.HeadDim);
        device.RopeAngles(frequencies, batch, angles);

        // The other layers hold keys and values the other way round, written later: a layer that is mistaken for another shows.
        int last = shape.Layers - 1;
        for (int layer = last; layer >= 0; layer--)
            device.RopeAndAppendKv(query, layer == last ? key : value, layer == last ? value : key, angles, RopePairing.Adjacent, _cache, layer, batch);
        device.PagedAttention(query, _cache, last, batch, output);
        return output.Read(rows);
    }
}
