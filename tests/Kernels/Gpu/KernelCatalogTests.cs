using System.Reflection;
using Llama3Cluster.Kernels.Gpu.Launch;

namespace Llama3Cluster.Kernels.Tests.Gpu;

/// <summary>What every kernel has in common.</summary>
public class KernelCatalogTests
{
    [Fact]
    public void Kernels_must_have_names_and_numbers_of_their_own()
    {
        Assert.NotEmpty(KernelCatalog.All);
        Assert.Equal(KernelCatalog.All.Count, KernelCatalog.All.Select(entry => entry.Traits.Name).Distinct().Count());
        Assert.Equal(KernelCatalog.All.Count, KernelCatalog.All.Select(entry => entry.Id).Distinct().Count());
    }

    [Fact]
    public void Portable_kernels_must_fit_the_smallest_devices()
    {
        foreach (KernelEntry entry in KernelCatalog.All.Where(entry => entry.Traits.Target == KernelTarget.Portable))
        {
            // 256 threads are what every desktop GPU takes in a group.
            Assert.InRange(entry.Traits.GroupSize, 32, 256);
            Assert.Equal(0, entry.Traits.GroupSize % 32);
        }
    }

    [Fact]
    public void A_kernel_must_be_a_static_method_of_one_struct()
    {
        foreach (KernelEntry entry in KernelCatalog.All)
        {
            Assert.True(entry.Method.IsStatic, entry.Traits.Name);
            ParameterInfo argument = Assert.Single(entry.Method.GetParameters());
            Assert.Equal(entry.ArgumentType, argument.ParameterType);
            Assert.True(argument.ParameterType.IsValueType, entry.Traits.Name);
        }
    }
}
