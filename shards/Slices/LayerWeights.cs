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

    /// <summary>Loads a layer; takes a turn on the device for each tensor.</summary>
    public static LayerWeights Load(ModelFile file, ComputeDevice device, int layer)
    {
        var loaded = new List<IDisposable>();
        T Keep<T>(T weights)
            where T : IDisposable
        {
            loaded.Add(weights);
            return weights;
        }

        DeviceTensor Vector(TensorRole role) => Keep(device.Turns.During(() => device.LoadVector(file.Tensor(role, layer))));
        WeightMatrix Matrix(TensorRole role) => Keep(device.Turns.During(() => device.LoadMatrix(file.Tensor(role, layer), WeightUse.Product)));
        try
        {
            return new LayerWeights(
                Vector(TensorRole.AttentionNorm), Matrix(TensorRole.Query), Matrix(TensorRole.Key), Matrix(TensorRole.Value),
                Matrix(TensorRole.AttentionOutput), Vector(TensorRole.FeedForwardNorm), Matrix(TensorRole.Gate), Matrix(TensorRole.Up),
                Matrix(TensorRole.Down));
        }
        catch
        {
            // Where memory runs out, what was taken before is given back.
            using (device.Turns.Take())
                loaded.ForEach(weights => weights.Dispose());
            throw;
        }
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

    /// <summary>The matrices of a layer; besides it has two norms.</summary>
    public static readonly TensorRole[] Matrices =
    [
        TensorRole.Query, TensorRole.Key, TensorRole.Value, TensorRole.AttentionOutput, TensorRole.Gate, TensorRole.Up, TensorRole.Down,
    ];

    private static readonly TensorRole[] Roles = [TensorRole.AttentionNorm, TensorRole.FeedForwardNorm, .. Matrices];
}
