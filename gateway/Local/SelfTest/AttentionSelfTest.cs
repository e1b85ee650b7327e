using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Gateway.Local.SelfTest;

/// <summary>Steps one or two sequences through rotation, cache and attention.</summary>
internal static class AttentionSelfTest
{
    private const int KvHeads = 2;

    /// <summary>Appends runs of rows, each of a sequence at a position, and returns the outputs of the last run.</summary>
    /// <param name="device">Where.</param>
    /// <param name="format">How the cache stores elements.</param>
    /// <param name="headDim">Elements of a head.</param>
    /// <param name="group">Query heads to a KV head.</param>
    /// <param name="runs">First position and rows. Runs that start at 0 begin a sequence; others go on with the one that has come so far.</param>
    public static float[] Run(ComputeDevice device, KvFormat format, int headDim, int group, (int First, int Rows)[] runs)
    {
        int longest = runs.Max(run => run.First + run.Rows), blocks = (longest + KvShape.BlockSize - 1) / KvShape.BlockSize;
        int sequences = runs.Count(run => run.First == 0), mostRows = runs.Max(run => run.Rows), kvColumns = KvHeads * headDim;
        using KvCache cache = device.AllocateKv(new KvShape(1, sequences * blocks, KvHeads, headDim, format));
        using DeviceBatch batch = device.AllocateBatch(mostRows, 1, blocks);
        using DeviceTensor frequencies = SelfTestCases.Tensor(device, 2, headDim / 2, SelfTestMatrix.Numbers(headDim, seed: 1));
        using DeviceTensor angles = device.Allocate(mostRows, headDim), query = device.Allocate(mostRows, kvColumns * group);
        using DeviceTensor key = device.Allocate(mostRows, kvColumns), value = device.Allocate(mostRows, kvColumns), output = device.Allocate(mostRows, kvColumns * group);
        var ragged = new RaggedBatch(mostRows, 1, blocks);
        var lengths = new List<int>();
        foreach ((int first, int rows) in runs)
        {
            if (first == 0)
                lengths.Add(0);
            int sequence = first == 0 ? lengths.Count - 1 : lengths.IndexOf(first);
            lengths[sequence] = first + rows;
            int[] table = [.. Enumerable.Range(0, blocks).Select(block => (block * sequences) + sequence)];
            ragged.Clear();
            ragged.Add(first, new int[rows], table);
            batch.Load(ragged);
            device.RopeAngles(frequencies, batch, angles);
            query.Upload(Rows(first, rows, kvColumns * group, sequence + 10));
            key.Upload(Rows(first, rows, kvColumns, sequence + 20));
            value.Upload(Rows(first, rows, kvColumns, sequence + 30));
            device.RopeAndAppendKv(query, key, value, angles, RopePairing.Adjacent, cache, 0, batch);
            device.PagedAttention(query, cache, 0, batch, output);
        }

        return SelfTestCases.Read(output, runs[^1].Rows);
    }

    // Numbers that depend on sequence and position alone: any cut of a sequence sees the same ones.
    private static float[] Rows(int first, int rows, int columns, int salt) =>
        [.. Enumerable.Range(first, rows).SelectMany(position => SelfTestMatrix.Numbers(columns, (salt * 100_000) + position))];
}
