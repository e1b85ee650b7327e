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
    private readonly Dictionary<DeviceKind, UnitSizes> _sizes;

    // Of unit u: what the units [0, u) have.
    private readonly long[] _readBytesBefore;
    private readonly int[] _layersBefore;

    public ModelUnits(ModelProfile profile)
    {
        _profile = profile;
        _sizes = Enum.GetValues<DeviceKind>().ToDictionary(kind => kind, kind => new UnitSizes(profile.On(kind)));
        _readBytesBefore = new long[Count + 1];
        _layersBefore = new int[Count + 1];
        for (int unit = 0; unit < Count; unit++)
        {
            bool isEmbedding = unit == 0, isHead = unit == Count - 1;
            long read = isEmbedding ? 0 : isHead ? profile.HeadBytes : profile.LayerBytes[unit - 1];
            _readBytesBefore[unit + 1] = _readBytesBefore[unit] + read;
            _layersBefore[unit + 1] = _layersBefore[unit] + (isEmbedding || isHead ? 0 : 1);
        }
    }

    /// <summary>Units of the model; also the most stages of a pipeline.</summary>
    public int Count => _profile.LayerBytes.Count + 2;

    /// <summary>The slice that a range of units is.</summary>
    public SliceRange Slice(int first, int end)
    {
        int layers = _profile.LayerBytes.Count;
        return new SliceRange(Math.Clamp(first - 1, 0, layers), Math.Clamp(end - 1, 0, layers), first == 0, end == Count);
    }

    /// <summary>Weight bytes that the range takes in the memory of a kind of device; a tied head may be held once.</summary>
    public long WeightBytes(int first, int end, DeviceKind kind = DeviceKind.Host) => _sizes[kind].WeightBytes(first, end);

    /// <summary>Weight bytes that a decode step reads: all but the embedding, of which it reads a row.</summary>
    public long ReadBytes(int first, int end) => _readBytesBefore[end] - _readBytesBefore[first];

    /// <summary>Bytes of so many KV blocks in the range's layers.</summary>
    public long KvBytes(int first, int end, int blocks, DeviceKind kind = DeviceKind.Host) =>
        Layers(first, end) * _sizes[kind].KvBlockBytes * blocks;

    /// <summary>Bytes of activations, logits and tables that the range needs to be computed.</summary>
    public long BufferBytes(int first, int end, DeviceKind kind) => _sizes[kind].BufferBytes(Layers(first, end) > 0, end == Count);

    /// <summary>Bytes that the range takes on a kind of device.</summary>
    public long MemoryBytes(int first, int end, int blocks, DeviceKind kind = DeviceKind.Host) =>
        WeightBytes(first, end, kind) + KvBytes(first, end, blocks, kind) + BufferBytes(first, end, kind);

    /// <summary>Bytes that the largest unit takes: some device must have so many.</summary>
    public long LargestUnitBytes(int blocks) => Enumerable.Range(0, Count).Max(unit => MemoryBytes(unit, unit + 1, blocks));

    /// <summary>
    /// Bytes that a whole replica takes over all its devices, if they are of one kind: with two stages or more a tied head is held twice. As
    /// on the host no other kind takes less.
    /// </summary>
    public long ReplicaBytes(int stages, int blocks, DeviceKind kind = DeviceKind.Host)
    {
        long buffers = stages <= Count ? (stages - 1) * BufferBytes(0, 1, kind) : 0;
        return buffers + (stages == 1 ? MemoryBytes(0, Count, blocks, kind) : MemoryBytes(0, 1, blocks, kind) + MemoryBytes(1, Count, blocks, kind));
    }

    private int Layers(int first, int end) => _layersBefore[end] - _layersBefore[first];

    // The same of one kind of device.
    private sealed class UnitSizes
    {
        private readonly DeviceProfile _profile;
        private readonly long[] _weightBytesBefore;

        public UnitSizes(DeviceProfile profile)
        {
            _profile = profile;
            long[] bytes = [profile.EmbeddingBytes, .. profile.LayerBytes, profile.HeadBytes];
            _weightBytesBefore = new long[bytes.Length + 1];
            for (int unit = 0; unit < bytes.Length; unit++)
                _weightBytesBefore[unit + 1] = _weightBytesBefore[unit] + bytes[unit];
        }

        public long KvBlockBytes => _profile.KvBytesPerTokenPerLayer * KvShape.BlockSize;

        public long WeightBytes(int first, int end)
        {
            long shared = first == 0 && end == _weightBytesBefore.Length - 1 ? _profile.SharedBytes : 0;
            return _weightBytesBefore[end] - _weightBytesBefore[first] - shared;
        }

        public long BufferBytes(bool hasLayers, bool hasHead) =>
            _profile.BufferBytes + (hasLayers ? _profile.LayerBufferBytes : 0) + (hasHead ? _profile.HeadBufferBytes : 0);
    }
}
