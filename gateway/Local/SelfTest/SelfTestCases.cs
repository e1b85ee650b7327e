using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;

namespace Llama3Cluster.Gateway.Local.SelfTest;

/// <summary>
/// Every operation in the variants that devices have kernels of their own for: weight formats, few and many rows, cache formats, contexts
/// of one and of several spans; and that a row's bits do not depend on its company.
/// </summary>
internal static class SelfTestCases
{
    private const int Columns = 1024, Outputs = 272, MostRows = 200;

    // Activations of 8 bits (bfloat16, or whole numbers on the CPU) and 11; sums in float32.
    private const double Coarse = 1e-2, Fine = 2e-3, Single = 1e-5;

    /// <summary>All cases for a device.</summary>
    public static IEnumerable<SelfTestCase> All(ComputeDevice device)
    {
        foreach (WeightFormat format in Enum.GetValues<WeightFormat>())
        {
            foreach (int rows in new[] { 1, 8, 13, 40, MostRows })
                yield return new SelfTestCase($"linear {format} x {rows} rows", LimitOf(format), on => Linear(on, format, 0, rows));
            foreach ((int first, int count) in new[] { (7, 1), (20, 13) })
            {
                yield return new SelfTestCase(
                    $"linear {format}: rows {first} to {first + count - 1} as among {MostRows}", 0, on => Linear(on, format, first, count),
                    _ => [.. Linear(device, format, 0, MostRows).Skip(first * Outputs).Take(count * Outputs)]);
            }

            yield return new SelfTestCase($"embedding {format}", Single, on => Embed(on, format));
            foreach (int rows in new[] { 2, 40 })
                yield return new SelfTestCase($"layer's feed-forward {format} x {rows} rows", 2 * LimitOf(format), on => FeedForward(on, format, rows));
        }

        yield return new SelfTestCase("rms-norm", Single, RmsNorm);
        yield return new SelfTestCase("arg-max", Single, ArgMax);
        yield return new SelfTestCase("top candidates", 0, TopCandidates);
        foreach (KvFormat format in Enum.GetValues<KvFormat>())
        {
            foreach ((int headDim, int group) in new[] { (64, 4), (128, 4), (128, 8), (128, 1) })
            {
                string name = $"attention {format}, {group} heads of {headDim}";
                yield return new SelfTestCase(name, Coarse, on => AttentionSelfTest.Run(on, format, headDim, group, [(0, 70), (0, 9), (70, 1), (9, 1)]));
                yield return new SelfTestCase(
                    $"{name}: a row as in its prompt", 0, on => AttentionSelfTest.Run(on, format, headDim, group, [(0, 599), (599, 1)]),
                    _ => AttentionSelfTest.Run(device, format, headDim, group, [(0, 600)])[^(group * 2 * headDim)..]);
            }
        }

        yield return new SelfTestCase("a decode step, recorded and replayed", 0, Replayed, _ => Stepped(device));
    }

    private static double LimitOf(WeightFormat format) => format switch
    {
        WeightFormat.F32 => Single,
        WeightFormat.F16 => Fine,
        _ => Coarse,
    };

    private static float[] Linear(ComputeDevice device, WeightFormat format, int first, int rows)
    {
        using var matrix = new SelfTestMatrix(format, Outputs, Columns, seed: 1);
        using WeightMatrix weights = device.LoadMatrix(matrix.Data, WeightUse.Product);
        using DeviceTensor input = Tensor(device, rows, Columns, SelfTestMatrix.Numbers(MostRows * Columns, seed: 2).AsSpan(first * Columns, rows * Columns));
        using DeviceTensor output = device.Allocate(rows, Outputs);
        device.Linear(weights, input, rows, output);
        return Read(output, rows);
    }

    private static float[] FeedForward(ComputeDevice device, WeightFormat format, int rows)
    {
        using SelfTestMatrix gateData = new(format, Columns, Columns, 1), upData = new(format, Columns, Columns, 2), downData = new(format, Columns, Columns, 3);
        using var normData = new SelfTestMatrix(WeightFormat.F32, 1, Columns, 4);
        using WeightMatrix gate = device.LoadMatrix(gateData.Data, WeightUse.Product), up = device.LoadMatrix(upData.Data, WeightUse.Product);
        using WeightMatrix down = device.LoadMatrix(downData.Data, WeightUse.Product);
        using DeviceTensor norm = device.LoadVector(normData.Data), hidden = Tensor(device, rows, Columns, SelfTestMatrix.Numbers(rows * Columns, seed: 5));
        using DeviceTensor gated = device.Allocate(rows, Columns), upper = device.Allocate(rows, Columns), scratch = device.Allocate(rows, Columns);
        device.NormedLinear(hidden, norm, 1e-5f, [new(gate, gated), new(up, upper)], rows, scratch);
        device.GatedLinearAdd(down, gated, upper, rows, hidden, scratch);
        return Read(hidden, rows);
    }

    private static float[] Embed(ComputeDevice device, WeightFormat format)
    {
        using var matrix = new SelfTestMatrix(format, 19, Columns, seed: 3);
        using WeightMatrix table = device.LoadMatrix(matrix.Data, WeightUse.Lookup);
        using DeviceTensor output = device.Allocate(3, Columns);
        var rows = new RaggedBatch(3, 1, 1);
        rows.Add(0, [18, 0, 7], [0]);
        using DeviceBatch batch = device.AllocateBatch(3, 1, 1);
        batch.Load(rows);
        device.Embed(table, batch, output);
        return Read(output, 3);
    }

    private static float[] RmsNorm(ComputeDevice device)
    {
        using var gainData = new SelfTestMatrix(WeightFormat.F32, 1, Columns, 4);
        using DeviceTensor gain = device.LoadVector(gainData.Data), tensor = Tensor(device, 5, Columns, SelfTestMatrix.Numbers(5 * Columns, seed: 6));
        device.RmsNorm(tensor, gain, 1e-5f, 5, tensor);
        return Read(tensor, 5);
    }

    private static float[] ArgMax(ComputeDevice device)
    {
        using DeviceTensor logits = Tensor(device, 4, 128_256, SelfTestMatrix.Numbers(4 * 128_256, seed: 7));
        var indices = new int[4];
        device.ArgMax(logits, 4, indices);
        return [.. indices.Select(index => (float)index)];
    }

    private static float[] TopCandidates(ComputeDevice device)
    {
        using DeviceTensor logits = Tensor(device, 3, 128_256, SelfTestMatrix.Numbers(3 * 128_256, seed: 10));
        var best = new Candidate[3 * Candidate.Most];
        device.TopCandidates(logits, 3, Candidate.Most, best);
        return [.. best.SelectMany(candidate => new[] { candidate.Index, candidate.Value })];
    }

    private static float[] Replayed(ComputeDevice device) => Steps(device, (batch, step) => device.RunStep(batch, step));

    private static float[] Stepped(ComputeDevice device) => Steps(device, (_, step) => step());

    // The same step on changing numbers, more often than a device records before it replays.
    private static float[] Steps(ComputeDevice device, Action<DeviceBatch, Action> run)
    {
        const int Times = 5;
        using var matrix = new SelfTestMatrix(WeightFormat.Q4_K, Columns, Columns, seed: 8);
        using WeightMatrix weights = device.LoadMatrix(matrix.Data, WeightUse.Product);
        using DeviceTensor hidden = Tensor(device, 1, Columns, SelfTestMatrix.Numbers(Columns, seed: 9)), product = device.Allocate(1, Columns);
        var rows = new RaggedBatch(1, 1, 1);
        using DeviceBatch batch = device.AllocateBatch(1, 1, 1);
        Action step = () =>
        {
            device.Linear(weights, hidden, 1, product);
            device.Add(hidden, product, 1);
        };
        for (int i = 0; i < Times; i++)
        {
            rows.Clear();
            rows.Add(i, [0], [0]);
            batch.Load(rows);
            run(batch, step);
        }

        return Read(hidden, 1);
    }

    /// <summary>A tensor that holds these numbers.</summary>
    public static DeviceTensor Tensor(ComputeDevice device, int rows, int columns, ReadOnlySpan<float> values)
    {
        DeviceTensor tensor = device.Allocate(rows, columns);
        tensor.Upload(values);
        return tensor;
    }

    /// <summary>A tensor's first rows.</summary>
    public static float[] Read(DeviceTensor tensor, int rows)
    {
        var values = new float[rows * tensor.Columns];
        tensor.Download(0, values);
        return values;
    }
}
