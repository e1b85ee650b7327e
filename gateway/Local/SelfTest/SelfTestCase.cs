using Llama3Cluster.Kernels.Devices;

namespace Llama3Cluster.Gateway.Local.SelfTest;

/// <summary>One computation that a device is checked with.</summary>
/// <param name="Operation">The operation and its variant, for people.</param>
/// <param name="Limit">The largest error that is accepted, relative to the reference's root mean square; 0 asks for equal bits.</param>
/// <param name="Compute">Computes on a device; the same numbers go in wherever it runs.</param>
/// <param name="Expect">Computes what is expected, on the reference device; by default the same.</param>
internal sealed record SelfTestCase(
    string Operation, double Limit, Func<ComputeDevice, float[]> Compute, Func<ComputeDevice, float[]>? Expect = null);

/// <summary>What came of a case.</summary>
/// <param name="Operation">The case's.</param>
/// <param name="Error">The relative error; null where the computation failed.</param>
/// <param name="Limit">The case's.</param>
/// <param name="Failure">Why it failed, in words.</param>
internal sealed record SelfTestResult(string Operation, double? Error, double Limit, string? Failure = null)
{
    /// <summary>Whether the device computes what it should.</summary>
    public bool Passed => Error <= Limit;
}
