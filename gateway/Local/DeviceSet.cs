using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Kernels.Cpu;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Kernels.Reference;

namespace Llama3Cluster.Gateway.Local;

/// <summary>Opened devices, one for each slice of this process. Slices on one GPU share its memory and its compiled kernels.</summary>
internal sealed class DeviceSet : IDisposable
{
    // Only ratios between devices count in a plan. A GPU whose driver does not say is taken for a middling one.
    private const double BytesPerSecondOfGpu = 300e9;

    private readonly Dictionary<GpuInfo, GpuContext> _contexts = [];
    private readonly List<StageDevice> _devices = [];

    private DeviceSet()
    {
    }

    /// <summary>The devices.</summary>
    public IReadOnlyList<StageDevice> Devices => _devices;

    /// <summary>Opens devices.</summary>
    /// <param name="choice">Which.</param>
    /// <param name="sources">What the choice found.</param>
    /// <param name="count">How many: sources serve several neighbours, or the last ones none.</param>
    /// <param name="memory">Bytes that they may use together; null for what each has.</param>
    /// <param name="readRate">
    /// How fast so many threads of this machine read memory together, in bytes a second. Asked once at most, if the processor is one of
    /// the devices.
    /// </param>
    public static DeviceSet Open(DeviceChoice choice, IReadOnlyList<DeviceSource> sources, int count, long? memory, Func<int, double> readRate)
    {
        var set = new DeviceSet();
        try
        {
            DeviceSource[] wanted = [.. Enumerable.Range(0, count).Select(i => count <= sources.Count ? sources[i] : sources[(int)((long)i * sources.Count / count)])];
            int processors = wanted.Count(source => source.Gpu is not { IsGpu: true });
            double processorRate = processors > 0 ? readRate(processors * choice.ThreadsOf(processors)) / processors : 0;
            for (int i = 0; i < count; i++)
                set.Add(i, wanted, choice, memory / count, processorRate);
            return set;
        }
        catch
        {
            set.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _devices.ForEach(device => device.Device.Dispose());
        foreach (GpuContext context in _contexts.Values)
            context.Dispose();
        _devices.Clear();
        _contexts.Clear();
    }

    private void Add(int index, DeviceSource[] wanted, DeviceChoice choice, long? memory, double processorRate)
    {
        DeviceSource source = wanted[index];
        if (source.Gpu is { } gpu)
        {
            int sharers = wanted.Count(other => other.Gpu == gpu);
            if (!_contexts.TryGetValue(gpu, out GpuContext? context))
                _contexts[gpu] = context = new GpuContext(gpu);
            long share = context.GrantedBytes / sharers;
            double rate = gpu.BytesPerSecond > 0 ? gpu.BytesPerSecond / sharers : gpu.IsGpu ? BytesPerSecondOfGpu / sharers : processorRate;
            _devices.Add(new StageDevice(index, new GpuDevice(context), Math.Min(memory ?? share, share), rate));
            return;
        }

        int processors = wanted.Count(other => other.Gpu is null), threads = choice.ThreadsOf(processors);
        ComputeDevice device = source.Name == "reference" ? new ReferenceDevice() : new CpuDevice(threads, choice.Repack);
        _devices.Add(new StageDevice(index, device, memory ?? (Local.Devices.DefaultMemory / processors), processorRate));
    }
}
