using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Config;

namespace Llama3Cluster.Shards.Slices;

/// <summary>The intermediate results of a layer, shared by all layers of a slice; [rows, width] each.</summary>
internal sealed class LayerBuffers : IDisposable
{
    public LayerBuffers(ComputeDevice device, LlamaConfig config, int maxRows, IReadOnlyList<double> frequencies)
    {
        int queryWidth = config.HeadCount * config.HeadDim, kvWidth = config.KvHeadCount * config.HeadDim;
        Frequencies = device.Allocate(2, config.HeadDim / 2);
        Angles = device.Allocate(maxRows, config.HeadDim);
        Normed = device.Allocate(maxRows, config.HiddenSize);
        Query = device.Allocate(maxRows, queryWidth);
        Key = device.Allocate(maxRows, kvWidth);
        Value = device.Allocate(maxRows, kvWidth);
        Attended = device.Allocate(maxRows, queryWidth);
        Gate = device.Allocate(maxRows, config.IntermediateSize);
        Up = device.Allocate(maxRows, config.IntermediateSize);

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
    public long ByteCount => All.Sum(tensor => tensor.ByteCount);

    private DeviceTensor[] All => [Frequencies, Angles, Normed, Query, Key, Value, Attended, Gate, Up];

    public void Dispose()
    {
        foreach (DeviceTensor tensor in All)
            tensor.Dispose();
    }
}
