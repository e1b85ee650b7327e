using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Execution;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Gateway.Local;

/// <summary>A model that the local commands run in this process: the file, a device, and a pipeline of slices on it.</summary>
internal sealed class LocalModel : IDisposable
{
    private readonly DeviceSet _devices;

    private LocalModel(ModelFile file, DeviceSet devices, LocalPipeline pipeline)
    {
        File = file;
        _devices = devices;
        Pipeline = pipeline;
    }

    /// <summary>The model's file.</summary>
    public ModelFile File { get; }

    /// <summary>The first slice's device. On a processor all slices share one, since they run one after the other.</summary>
    public ComputeDevice Device => _devices.Devices[0].Device;

    /// <summary>All devices in words.</summary>
    public string DeviceName => string.Join(" + ", _devices.Devices.Select(device => device.Device.Name));

    /// <summary>The slices.</summary>
    public LocalPipeline Pipeline { get; }

    /// <summary>What all slices take.</summary>
    public SliceMemory Memory => Pipeline.Slices.Select(slice => slice.Memory).Aggregate((a, b) => a + b);

    /// <summary>Opens and loads a model.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="device">The devices for the slices: neighbours share one where there are fewer.</param>
    /// <param name="stages">How many slices.</param>
    /// <param name="sequences">Sequences at one time.</param>
    /// <param name="context">Positions of each; null for the model's own.</param>
    /// <param name="rows">Most rows of one step.</param>
    /// <param name="logitRows">Most rows of one step whose logits are wanted.</param>
    /// <param name="kvFormat">How keys and values are stored; null for what suits the weights.</param>
    /// <param name="cancellationToken">Ends the loading early.</param>
    public static LocalModel Load(
        string path, DeviceChoice device, int stages, int sequences, int? context, int rows, int logitRows,
        KvFormat? kvFormat, CancellationToken cancellationToken)
    {
        ModelFile file = ModelFile.Open(path);
        DeviceSet? devices = null;
        try
        {
            IReadOnlyList<DeviceSource> sources = Devices.Find(device.Name);
            devices = DeviceSet.Open(device, sources, Math.Min(stages, sources.Count), memory: null, readRate: _ => 1); // nothing is planned here
            int positions = context ?? file.Config.ContextLength;
            var options = new SliceOptions(
                rows, sequences, logitRows, positions, sequences * KvPool.BlocksFor(positions), kvFormat ?? DefaultKvFormat(file));
            IReadOnlyList<StageDevice> opened = devices.Devices;
            LocalPipeline pipeline = LoadingProgress.Show(
                $"loading {file.Name}", report => LocalPipeline.Load(file, stage => opened[stage * opened.Count / stages].Device, stages, options, progress: report, cancellationToken: cancellationToken));
            return new LocalModel(file, devices, pipeline);
        }
        catch
        {
            devices?.Dispose();
            file.Dispose();
            throw;
        }
    }

    /// <summary>Single-precision weights get a single-precision cache, so that the result is theirs; others half precision.</summary>
    public static KvFormat DefaultKvFormat(ModelFile file) =>
        file.Tensor(TensorRole.Query).Format == WeightFormat.F32 ? KvFormat.F32 : KvFormat.F16;

    /// <summary>The blocks of a sequence when every sequence has its own contiguous share.</summary>
    public int[] BlocksOf(int sequence)
    {
        int share = Pipeline.Options.KvBlocks / Pipeline.Options.MaxSequences;
        return [.. Enumerable.Range(sequence * share, share)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Pipeline.Dispose();
        _devices.Dispose();
        File.Dispose();
    }
}
