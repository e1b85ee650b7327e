using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Slices;

/// <summary>The intermediate results of a layer, shared by all layers of a slice; [rows, width] each.</summary>
internal sealed class LayerBuffers : IDisposable
{
    private readonly DeviceTensor[] _all;

    public LayerBuffers(ComputeDevice device, LlamaConfig config, int maxRows, IReadOnlyList<double> frequencies)
    {
        _all = AllocateAll(device, Shapes(config, maxRows));
        (Frequencies, Angles, Normed, Query, Key) = (_all[0], _all[1], _all[2], _all[3], _all[4]);
        (Value, Attended, Gate, Up) = (_all[5], _all[6], _all[7], _all[8]);

        var parts = new float[config.HeadDim];
        for (int j = 0; j < frequencies.Count; j++)
        {
            parts[j] = (float)frequencies[j];
            parts[frequencies.Count + j] = (float)(frequencies[j] - parts[j]);
        }

        Frequencies.Upload(parts);
    }

    public DeviceTensor Frequencies { get; }

    public DeviceTensor Angles { get; }

    public DeviceTensor Normed { get; }

    public DeviceTensor Query { get; }

    public DeviceTensor Key { get; }

    public DeviceTensor Value { get; }

    public DeviceTensor Attended { get; }

    public DeviceTensor Gate { get; }

    public DeviceTensor Up { get; }

    /// <summary>Bytes of all of them.</summary>
    public long ByteCount => _all.Sum(tensor => tensor.ByteCount);

    /// <summary>Rows and columns of each, in the order of the properties.</summary>
    public static (int Rows, int Columns)[] Shapes(LlamaConfig config, int maxRows)
    {
        int queryWidth = config.HeadCount * config.HeadDim, kvWidth = config.KvHeadCount * config.HeadDim;
        return
        [
            (2, config.HeadDim / 2), (maxRows, config.HeadDim), (maxRows, config.HiddenSize), (maxRows, queryWidth), (maxRows, kvWidth),
            (maxRows, kvWidth), (maxRows, queryWidth), (maxRows, config.IntermediateSize), (maxRows, config.IntermediateSize),
        ];
    }

    public void Dispose()
    {
        foreach (DeviceTensor tensor in _all)
            tensor.Dispose();
    }

    // Where memory runs out, what was taken before is given back.
    private static DeviceTensor[] AllocateAll(ComputeDevice device, (int Rows, int Columns)[] shapes)
    {
        var tensors = new List<DeviceTensor>(shapes.Length);
        try
        {
            foreach ((int rows, int columns) in shapes)
                tensors.Add(device.Allocate(rows, columns));
            return [.. tensors];
        }
        catch
        {
            tensors.ForEach(tensor => tensor.Dispose());
            throw;
        }
    }
}
