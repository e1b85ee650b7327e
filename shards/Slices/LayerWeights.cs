using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Shards.Slices;

/// <summary>The weights of one transformer layer on a device.</summary>
internal sealed record LayerWeights(
    DeviceTensor AttentionNorm, WeightMatrix Query, WeightMatrix Key, WeightMatrix Value, WeightMatrix AttentionOutput,
    DeviceTensor FeedForwardNorm, WeightMatrix Gate, WeightMatrix Up, WeightMatrix Down) : IDisposable
{
    /// <summary>Bytes that a layer's weights take in the file.</summary>
    public static long BytesOf(ModelFile file, int layer) => Roles.Sum(role => file.Tensor(role, layer).ByteCount);

    public static LayerWeights Load(ModelFile file, ComputeDevice device, int layer)
    {
        DeviceTensor Vector(TensorRole role) => device.LoadVector(file.Tensor(role, layer));
        WeightMatrix Matrix(TensorRole role) => device.LoadMatrix(file.Tensor(role, layer), WeightUse.Product);
        return new LayerWeights(
            Vector(TensorRole.AttentionNorm), Matrix(TensorRole.Query), Matrix(TensorRole.Key), Matrix(TensorRole.Value),
            Matrix(TensorRole.AttentionOutput), Vector(TensorRole.FeedForwardNorm), Matrix(TensorRole.Gate), Matrix(TensorRole.Up),
            Matrix(TensorRole.Down));
    }

    /// <summary>Bytes that the device holds of them beyond the mapped file.</summary>
    public long CopyBytes =>
        AttentionNorm.ByteCount + FeedForwardNorm.ByteCount
        + ((WeightMatrix[])[Query, Key, Value, AttentionOutput, Gate, Up, Down]).Sum(matrix => matrix.DeviceBytes);

    public void Dispose()
    {
        foreach (IDisposable tensor in (IDisposable[])[AttentionNorm, Query, Key, Value, AttentionOutput, FeedForwardNorm, Gate, Up, Down])
            tensor.Dispose();
    }

    private static readonly TensorRole[] Roles =
    [
        TensorRole.AttentionNorm, TensorRole.Query, TensorRole.Key, TensorRole.Value, TensorRole.AttentionOutput,
        TensorRole.FeedForwardNorm, TensorRole.Gate, TensorRole.Up, TensorRole.Down,
    ];
}
