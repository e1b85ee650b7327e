using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Reference;

namespace Llama3Cluster.Gateway.Local.SelfTest;

/// <summary>Compares a device with the reference, case by case.</summary>
internal static class SelfTestRun
{
    /// <summary>Runs every case; one that throws is a failure, and the next one runs.</summary>
    public static IEnumerable<SelfTestResult> Run(ComputeDevice device)
    {
        using var reference = new ReferenceDevice();
        foreach (SelfTestCase test in SelfTestCases.All(device))
            yield return Run(test, device, reference);
    }

    private static SelfTestResult Run(SelfTestCase test, ComputeDevice device, ComputeDevice reference)
    {
        try
        {
            float[] actual = test.Compute(device), expected = (test.Expect ?? test.Compute)(reference);
            return new SelfTestResult(test.Operation, Error(actual, expected, test.Limit == 0), test.Limit);
        }
        catch (Exception error) when (error is not OutOfMemoryException)
        {
            return new SelfTestResult(test.Operation, null, test.Limit, error.Message);
        }
    }

    private static double Error(float[] actual, float[] expected, bool bits)
    {
        if (actual.Length != expected.Length)
            return double.PositiveInfinity;
        double difference = 0, square = 0;
        for (int i = 0; i < actual.Length; i++)
        {
            if (bits && BitConverter.SingleToUInt32Bits(actual[i]) != BitConverter.SingleToUInt32Bits(expected[i]))
                return double.PositiveInfinity;
            difference += Math.Pow(actual[i] - (double)expected[i], 2);
            square += Math.Pow(expected[i], 2);
        }

        double error = bits ? 0 : Math.Sqrt(difference / square);
        return double.IsNaN(error) ? double.PositiveInfinity : error;
    }
}
