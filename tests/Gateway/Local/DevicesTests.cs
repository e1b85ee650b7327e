using Llama3Cluster.Gateway.Cli;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Kernels.Gpu;

namespace Llama3Cluster.Gateway.Tests.Local;

/// <summary>What <c>--device</c> finds on machines with various GPUs.</summary>
public class DevicesTests
{
    private static readonly GpuInfo[] Mixed =
    [
        Gpu(GpuInterface.Cuda, 0), Gpu(GpuInterface.Cuda, 1), Gpu(GpuInterface.OpenCl, 0), Gpu(GpuInterface.OpenCl, 1, isGpu: false),
    ];

    [Theory]
    [InlineData("cuda:1", "cuda:1")]
    [InlineData("cuda", "cuda:0 cuda:1")]
    [InlineData("opencl", "opencl:0 opencl:1")]
    [InlineData("opencl:1,cpu", "opencl:1 cpu")]
    [InlineData("auto", "cuda:0 cuda:1")]
    [InlineData("cpu", "cpu")]
    [InlineData("reference, cuda:0", "reference cuda:0")]
    public void A_choice_must_find_its_devices(string choice, string found) => Assert.Equal(found, Names(choice, Mixed));

    [Fact]
    public void Auto_must_fall_back_to_OpenCL_GPUs_and_then_to_the_processor()
    {
        Assert.Equal("opencl:0", Names("auto", Mixed[2..]));
        Assert.Equal("cpu", Names("auto", Mixed[3..]));
        Assert.Equal("cpu", Names("auto", []));
    }

    [Theory]
    [InlineData("cuda:7", "there are cuda:0")]
    [InlineData("opencl:01", "no device opencl:01")]
    [InlineData("gpu", "--device takes auto|cpu|reference|cuda[:N]|opencl[:N]")]
    [InlineData("", "--device takes")]
    [InlineData("cpu,", "--device takes")]
    public void A_device_that_is_not_there_must_be_refused_with_those_that_are(string choice, string message)
    {
        var error = Assert.Throws<UsageException>(() => Names(choice, Mixed));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_without_GPUs_must_say_so()
    {
        var error = Assert.Throws<UsageException>(() => Names("cuda", []));
        Assert.Contains("no CUDA or OpenCL driver shows one", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_processor_must_not_look_for_GPUs() =>
        Assert.Equal("cpu", Devices.Find("cpu", new Lazy<IReadOnlyList<GpuInfo>>(() => throw new InvalidOperationException())).Single().Name);

    [Fact]
    public void Devices_must_share_the_processor_and_the_memory()
    {
        var choice = new DeviceChoice("cpu", Threads: 1);
        using DeviceSet set = DeviceSet.Open(choice, Devices.Find(choice.Name), count: 3, memory: 900, readRate: threads => 1e9 * threads);
        Assert.Equal([0, 1, 2], set.Devices.Select(device => device.Index));
        Assert.All(set.Devices, device => Assert.Equal(300, device.MemoryBytes));
        Assert.All(set.Devices, device => Assert.Equal(1e9, device.BytesPerSecond));
        Assert.StartsWith("3 x cpu", Devices.Describe(set.Devices), StringComparison.Ordinal);
    }

    [Fact]
    public void Sources_must_be_dealt_out_to_neighbours()
    {
        var choice = new DeviceChoice("reference,cpu", Threads: 1);
        using DeviceSet set = DeviceSet.Open(choice, Devices.Find(choice.Name), count: 4, memory: null, readRate: threads => 1e9 * threads);
        Assert.Equal(["reference", "reference", "cpu", "cpu"], set.Devices.Select(device => device.Device.Name.Split(' ')[0]));
    }

    private static string Names(string choice, IReadOnlyList<GpuInfo> present) =>
        string.Join(' ', Devices.Find(choice, new Lazy<IReadOnlyList<GpuInfo>>(present)).Select(source => source.Name));

    private static GpuInfo Gpu(GpuInterface driver, int index, bool isGpu = true) => new(driver, index, "A GPU", 1L << 34, 100, isGpu, 1e12, index);
}
