using System.Globalization;
using Llama3Cluster.Actors.Hosting;
using Llama3Cluster.Gateway.Cli;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Shards.Planning;

namespace Llama3Cluster.Gateway.Local;

/// <summary>Something that slices can be computed on.</summary>
/// <param name="Name">How options name it.</param>
/// <param name="Gpu">The GPU, or null for this machine's processor.</param>
internal sealed record DeviceSource(string Name, GpuInfo? Gpu = null);

/// <summary>Finds the devices that options name.</summary>
internal static class Devices
{
    /// <summary>What the option takes.</summary>
    public const string Names = "auto|cpu|reference|cuda[:N]|opencl[:N]";

    /// <summary>Memory that slices may use on this machine's processor in all, if nothing is said: four fifths of what the machine has.</summary>
    public static long DefaultMemory => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 5 * 4;

    /// <summary>
    /// The devices of a choice, such as <c>cuda:1</c> or <c>opencl:0,cpu</c>. <c>auto</c> is every CUDA GPU, else every OpenCL GPU, else the
    /// processor; <c>cuda</c> and <c>opencl</c> without a number are all devices of theirs.
    /// </summary>
    /// <exception cref="UsageException">A name is unknown, or this machine has no such device.</exception>
    public static IReadOnlyList<DeviceSource> Find(string choice) => Find(choice, new Lazy<IReadOnlyList<GpuInfo>>(GpuDiscovery.List));

    /// <summary>The devices of a choice among given GPUs.</summary>
    internal static IReadOnlyList<DeviceSource> Find(string choice, Lazy<IReadOnlyList<GpuInfo>> present) =>
        [.. choice.Split(',', StringSplitOptions.TrimEntries).SelectMany(name => FindOne(name, present))];

    private static IEnumerable<DeviceSource> FindOne(string name, Lazy<IReadOnlyList<GpuInfo>> present)
    {
        switch (name)
        {
            case "cpu" or "reference":
                return [new DeviceSource(name)];
            case "auto":
                IReadOnlyList<GpuInfo> preferred = GpuDiscovery.Preferred(present.Value);
                return preferred.Count > 0 ? preferred.Select(Source) : [new DeviceSource("cpu")];
        }

        string[] parts = name.Split(':', 2);
        if (parts[0] is not ("cuda" or "opencl"))
            throw new UsageException($"--device takes {Names}, or several of them with commas, not \"{name}\"");
        List<DeviceSource> found = [.. present.Value.Select(Source).Where(source => source.Name == name || (parts.Length == 1 && source.Name.StartsWith(name + ":", StringComparison.Ordinal)))];
        return found.Count > 0 ? found : throw new UsageException($"this machine has no device {name}: {Listing(present.Value)}. \"llama3cluster devices\" prints them; docs/gpu.md says what they need");
    }

    private static DeviceSource Source(GpuInfo gpu) => new(gpu.Id, gpu);

    private static string Listing(IReadOnlyList<GpuInfo> gpus) =>
        gpus.Count == 0 ? "no CUDA or OpenCL driver shows one" : "there are " + string.Join(", ", gpus.Select(gpu => $"{gpu.Id} ({gpu.Name})"));

    /// <summary>Describes devices for people: like ones together, each with its memory and the rate at which it reads.</summary>
    public static string Describe(IReadOnlyList<StageDevice> devices) => string.Join("; ", devices
        .GroupBy(device => (device.Device.Name, device.MemoryBytes, device.BytesPerSecond))
        .Select(group => string.Create(
            CultureInfo.InvariantCulture, $"{group.Count()} x {group.Key.Name}, {ByteSize.Format(group.Key.MemoryBytes)}, {group.Key.BytesPerSecond / 1e9:0.0} GB/s")));
}
