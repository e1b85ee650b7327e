using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Shards.Planning;

/// <summary>
/// A model as the row of units between which it can be cut: 0 the embedding, 1 to L the layers, L + 1 the head. A slice is a range
/// of units [first, end); its sizes come from prefix sums, and none shrinks when the range grows.
/// </summary>
internal sealed class ModelUnits
{
    private readonly ModelProfile _profile;

    // Of unit u: what the units [0, u) have.
    private readonly long[] _weightBytesBefore, _readBytesBefore;
    private readonly int[] _layersBefore;

    public ModelUnits(ModelProfile profile)
    {
        _profile = profile;
        _weightBytesBefore = new long[Count + 1];
        _readBytesBefore = new long[Count + 1];
        _layersBefore = new int[Count + 1];
        for (int unit = 0; unit < Count; unit++)
        {
            bool isEmbedding = unit == 0, isHead = unit == Count - 1;
            long bytes = isEmbedding ? profile.EmbeddingBytes : isHead ? profile.HeadBytes : profile.LayerBytes[unit - 1];
            _weightBytesBefore[unit + 1] = _weightBytesBefore[unit] + bytes;
            _readBytesBefore[unit + 1] = _readBytesBefore[unit] + (isEmbedding ? 0 : bytes);
            _layersBefore[unit + 1] = _layersBefore[unit] + (isEmbedding || isHead ? 0 : 1);
        }
    }

    /// <summary>Units of the model; also the most stages of a pipeline.</summary>
    public int Count => _profile.LayerBytes.Count + 2;

    /// <summary>Bytes that one KV block takes in one layer.</summary>
    public long KvBlockBytes => _profile.KvBytesPerTokenPerLayer * KvShape.BlockSize;

    /// <summary>The slice that a range of units is.</summary>
    public SliceRange Slice(int first, int end)
    {
        int layers = _profile.LayerBytes.Count;
        return new SliceRange(Math.Clamp(first - 1, 0, layers), Math.Clamp(end - 1, 0, layers), first == 0, end == Count);
    }

    /// <summary>Weight bytes that the range takes in memory; a tied head is held once.</summary>
    public long WeightBytes(int first, int end)
    {
        long shared = first == 0 && end == Count && _profile.TiedHead ? _profile.EmbeddingBytes : 0;
        return _weightBytesBefore[end] - _weightBytesBefore[first] - shared;
    }

    /// <summary>Weight bytes that a decode step reads: all but the embedding, of which it reads a row.</summary>
    public long ReadBytes(int first, int end) => _readBytesBefore[end] - _readBytesBefore[first];

    /// <summary>Bytes of so many KV blocks in the range's layers.</summary>
    public long KvBytes(int first, int end, int blocks) => (_layersBefore[end] - _layersBefore[first]) * KvBlockBytes * blocks;

    /// <summary>Bytes that the range takes on a device.</summary>
    public long MemoryBytes(int first, int end, int blocks) => WeightBytes(first, end) + KvBytes(first, end, blocks);

    /// <summary>Bytes that the largest unit takes: some device must have so many.</summary>
    public long LargestUnitBytes(int blocks) => Enumerable.Range(0, Count).Max(unit => MemoryBytes(unit, unit + 1, blocks));

    /// <summary>Bytes that a whole replica takes over all its devices: with two stages or more a tied head is held twice.</summary>
    public long ReplicaBytes(int stages, int blocks) => stages == 1
        ? MemoryBytes(0, Count, blocks)
        : MemoryBytes(0, 1, blocks) + MemoryBytes(1, Count, blocks);
}
