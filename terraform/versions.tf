terraform {
  required_version = ">= 1.7"

  required_providers {
    azurerm = {
      source = "hashicorp/azurerm"
      # 4.67 is the first to know os_sku = "Ubuntu2404"; 5 is the last that these files are tested with.
      version = ">= 4.67, < 6.0"
    }
  }
}

# The subscription comes from ARM_SUBSCRIPTION_ID, the sign-in from `az login` or the ARM_… variables.
provider "azurerm" {
  # azurerm 4 registers some sixty resource providers by itself, azurerm 5 none: these are what is used here.
  resource_provider_registrations = "none"
  resource_providers_to_register = [
    "Microsoft.Compute",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
  ]

  features {}
}
